"""A data set as whole batches of bytes from memory."""

import os
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from mnist_lit.data import datasets
from mnist_lit.data.augmentation import Augmentation
from mnist_lit.errors import Argument, InputError

T = TypeVar("T")
# Evaluation keeps no activations for a backward pass, so its batches can be larger than training's.
EVALUATION_BATCH = 500
# Arguments of `MNISTModule` that follow from the data set, and the data module's names of them.
LINKED = {
    "dataset": "name",
    "class_names": "class_names",
    "num_classes": "num_classes",
    "preprocessing": "preprocessing",
    "image_size": "image_size",
}


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images as uint8 of shape N×1×H×H and labels as int64 of shape N, both in memory."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a whole batch by one indexing; the DataLoader calls this where it exists."""
        chosen = torch.tensor(indices)
        return self.images[chosen], self.labels[chosen]


def _unchanged(batch: T) -> T:
    return batch


class MNISTDataModule(pl.LightningDataModule):
    """MNIST, or another data set of small grey images.

    Batches are uint8 images of shape N×1×H×H and int64 labels of shape N; the module scales
    them on its device. The order of the training images is a function of (seed, epoch) alone.

    Args:
        dataset: `mnist`, `fashion`, `kmnist`, `qmnist`, `emnist-balanced`, `emnist-letters`,
            `emnist-digits`; or a folder of pictures, `DIR/<class>/…` or `DIR/train/<class>/…` and
            `DIR/test/<class>/…`; or a `.npz` file of x_train, y_train, x_test and y_test; or a
            table, `.csv` or `.csv.gz`, with a label and the pixels of an image in each row.
        data_dir: Folder for the published files, as `MNIST/raw/…` and the like. Default:
            $MNIST_LIT_DATA_DIR, else `data`.
        source: For `mnist`: `auto` takes the files on disk, else downloads them, else takes the
            embedded sample and prints a warning; `full` never takes the sample; `sample` always
            does.
        preprocessing: How a picture, in a folder or given to `predict`, becomes a square image:
            `mnist` and `emnist` find the ink and place it as those data sets do, `plain` scales the
            whole. Default: the data set's own; `plain` for folders and files.
        image_size: Side of the images, 8 to 256; pictures are scaled to it. Default: 28 for
            folders; for array files and tables the size of the images in them. Published images are
            never resized.
        value_range: `[LOW, HIGH]`, the values of black and white in an array file or table, where
            they are others than 0 and 255, or 0 and 1.
        transposed: Whether the rows of the images in an array file or table are columns. Default:
            only in tables named as EMNIST's own.
        strict: Whether a picture in a folder that cannot be read is an error; otherwise it is left
            out.
        val_split: Share of the training images that validates: the last ones, or, in a folder and
            where a fifth was set apart for test, a share of each class; 0 trains on all.
        batch_size: Images in a training batch.
        rotation: Training images are turned by up to this many degrees, either way.
        shift: Training images are moved by up to this share of their side.
        scale: Training images grow or shrink by up to this share.
        elastic: The parts of a training image move against each other by about this share of its
            side.
        thickness: Strokes in training images become thicker or thinner by up to this many pixels on
            each side, less than 1.
        flip: Whether half of the training images are mirrored, left to right.

    Raises:
        InputError: There is no such data set, or a value is out of its range.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        data_dir: str | None = None,
        source: Literal["auto", "full", "sample"] = "auto",
        preprocessing: Literal["mnist", "emnist", "plain"] | None = None,
        image_size: int | None = None,
        value_range: list[float] | None = None,
        transposed: bool | None = None,
        strict: bool = False,
        val_split: float = 0.2,
        batch_size: int = 32,
        rotation: float = 0.0,
        shift: float = 0.0,
        scale: float = 0.0,
        elastic: float = 0.0,
        thickness: float = 0.0,
        flip: bool = False,
    ) -> None:
        # As given, for the records of a run.
        self.arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if batch_size < 1:
            raise InputError(Argument("batch_size", batch_size), "is below 1", "give at least 1")
        values = (
            ("val_split", val_split, 1),
            ("rotation", rotation, 180),
            ("shift", shift, 1),
            ("scale", scale, 1),
            ("elastic", elastic, 1),
            ("thickness", thickness, 1),
        )
        for name, value, limit in values:
            if not 0 <= value < limit:
                remedy = f"give at least 0 and less than {limit}"
                raise InputError(Argument(name, value), "is out of range", remedy)
        self.data_dir = data_dir or datasets.default_data_dir()
        self.dataset = datasets.find(
            dataset,
            self.data_dir,
            source=source,
            preprocessing=preprocessing,
            strict=strict,
            image_size=image_size,
            value_range=value_range,
            transposed=transposed,
        )
        # The name of the data that are really used, which is known once they are prepared.
        self.name: str = self.dataset.name
        self.val_split = val_split
        self.batch_size = batch_size
        self.augmentation = Augmentation(
            rotation=rotation,
            shift=shift,
            scale=scale,
            elastic=elastic,
            thickness=thickness,
            flip=flip,
        )
        self.splits: dict[str, ImageDataset] = {}

    @property
    def class_names(self) -> list[str]:
        return self.dataset.class_names

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def preprocessing(self) -> str:
        return self.dataset.preprocessing

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.dataset.image_size

    @property
    def linked(self) -> dict[str, Any]:
        """The arguments of `MNISTModule` that follow from the data set."""
        return {argument: getattr(self, name) for argument, name in LINKED.items()}

    def prepare_data(self) -> None:
        self.dataset.prepare()
        self.name = self.dataset.name

    def setup(self, stage: str) -> None:
        if self.splits:
            return
        splits = self.dataset.load(self.val_split)
        self.name = self.dataset.name
        self.splits = {
            name: ImageDataset(*split) for name, split in splits.items() if len(split[1])
        }
        if "train" not in self.splits:
            raise InputError(
                Argument("val_split", self.val_split), "leaves no image to train on", "give less"
            )

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = self.splits["train"]
        # Lightning's seed, mixed because the sampler adds the epoch's number to it: neighbouring
        # seeds would share the orders of their epochs.
        seed = np.random.SeedSequence(int(os.environ.get("PL_GLOBAL_SEED", "0"))).generate_state(1)
        rank, world_size = self._place()
        sampler: DistributedSampler[Any] = DistributedSampler(
            dataset, num_replicas=world_size, rank=rank, seed=int(seed[0])
        )
        return self._loader("train", self.batch_size, sampler)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._evaluation_loader("val") if "val" in self.splits else []

    def test_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.test_dataloader()

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        if self.trainer is None or not self.trainer.training or not self.augmentation:
            return batch
        images, labels = batch
        return self.augmentation(images), labels

    def _evaluation_loader(self, split: str) -> DataLoader[Any]:
        dataset = self.splits[split]
        rank, world_size = self._place()
        # Each image once; Lightning's own sampler repeats some where the shares are uneven.
        share = range(rank, len(dataset), world_size)
        return self._loader(split, max(EVALUATION_BATCH, self.batch_size), share)

    def _loader(self, split: str, batch_size: int, sampler: Iterable[int]) -> DataLoader[Any]:
        return DataLoader(
            self.splits[split],
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=_unchanged,
            # A loader draws a number at each start, which would change those that dropout draws.
            generator=torch.Generator(),
        )

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size
