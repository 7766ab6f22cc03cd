"""Reading characters in pictures. Starts fast, so nothing here imports Lightning."""

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import PRETRAINED, Checkpoint
from mnist_lit.errors import Argument, InputError
from mnist_lit.files import is_table
from mnist_lit.network.inference import LEAST_DOUBT, SURER, UNSURE, probabilities
from mnist_lit.network.network import Network
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.pictures.decoding import KINDS, SUFFIXES
from mnist_lit.pictures.preprocessing import Picture
from mnist_lit.pictures.splitting import Box

BATCH = 256  # pictures that are held in memory at once
TURNED_NOTE = "turned upright"


class Prediction(NamedTuple):
    """What a network reads in one picture."""

    file: str
    label: str
    probability: float
    runner_up: str
    runner_up_probability: float
    note: str


class SplitPrediction(Prediction):
    """What a network reads in one character of a picture, and its place in the picture's pixels."""

    box: Box


def predict(
    paths: str | Path | Iterable[str | Path],
    checkpoint: str | Path = PRETRAINED,
    *,
    split: bool = False,
    broken: Callable[[InputError], None] | None = None,
) -> Iterator[Prediction]:
    """Yield what a checkpoint's network reads in picture files, one after the other.

    Pictures may have any size. They are prepared as the network's training images were, and as
    large.

    Args:
        paths: Picture files, or array files or tables with an image in each row; or one.
        checkpoint: A file that `fit`, `import_keras` or `export_checkpoint` (as safetensors) wrote.
            By default the weights that come with the package.
        split: Yield a `SplitPrediction` for each separate character of a picture, line by line.
        broken: Called with the error of each file that cannot be read; by default it is raised.

    Raises:
        InputError: The checkpoint or a picture cannot be read.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    content = checkpoints.read(checkpoint)
    for row, picture in answers(content, read_pictures(paths, content, broken, split=split)):
        if picture.box:
            row = SplitPrediction(*row)
            row.box = picture.box
        yield row


def read_pictures(
    paths: Iterable[str | Path],
    checkpoint: Checkpoint,
    broken: Callable[[InputError], None] | None = None,
    data: Mapping[str, Any] | None = None,
    *,
    split: bool = False,
) -> Iterator[tuple[str, Picture]]:
    """Yield the name of each file and its picture, as the checkpoint's network takes it.

    Of an array file or table there is a picture for each row. `data` says how its numbers are to be
    read, as arguments of `MNISTDataModule`; by default as those that the network was trained on.
    `split` makes a picture of each separate character in a picture file.

    Raises:
        InputError: The network takes pictures as they are, and `split` looks for ink.
    """
    if split and checkpoint.preprocessing not in pictures.OF_INK:
        problem = f"looks for ink, and this network's preprocessing is {checkpoint.preprocessing}"
        raise InputError(Argument("split"), problem, "leave it out")
    for path in paths:
        try:
            if is_table(path):
                yield from _rows(Path(path), checkpoint, data or {})
                continue
            how = (path, checkpoint.preprocessing, checkpoint.image_size)
            found = pictures.read_split(*how) if split else [pictures.read(*how)]
        except InputError as error:
            if broken is None:
                raise
            broken(error)
        else:
            for picture in found:
                yield str(path), picture


def _rows(
    path: Path, checkpoint: Checkpoint, data: Mapping[str, Any]
) -> Iterator[tuple[str, Picture]]:
    from mnist_lit.data import datasets  # needed for few files

    recorded = {**checkpoint.config.get("data", {}), **data}
    options = {name: recorded.get(name) for name in ("value_range", "transposed")}
    side = checkpoint.image_size
    for row, image in enumerate(datasets.unlabelled(path, **options), 1):
        if image.shape == (side, side):  # as in training
            picture = Picture(image, "")
        else:
            picture = pictures.prepare(image.astype(np.float32), checkpoint.preprocessing, side)
        yield f"{path} row {row}", picture


def answers(
    checkpoint: Checkpoint, named: Iterable[tuple[str, Picture]]
) -> Iterator[tuple[Prediction, Picture]]:
    """Yield what a checkpoint's network reads in pictures, each with its picture."""
    network, names = checkpoint.build(), checkpoint.class_names
    named = iter(named)
    while batch := list(islice(named, BATCH)):
        batch = [(file, upright(network, picture)) for file, picture in batch]
        images = torch.from_numpy(np.stack([picture.image for _, picture in batch]))
        found, labels = probabilities(network, images.unsqueeze(1)).topk(2)
        for (file, picture), (best, second), (label, other) in zip(
            batch, found.tolist(), labels.tolist(), strict=True
        ):
            unsure = "unsure" if best < UNSURE else ""
            note = ", ".join(filter(None, (picture.note, unsure)))
            yield Prediction(file, names[label], best, names[other], second, note), picture


def upright(network: Network, picture: Picture) -> Picture:
    """Return a picture turned upright if it lies on its side, which the network decides."""
    if not picture.may_lie:
        return picture
    turned = np.stack([np.rot90(picture.image, quarters) for quarters in (0, 1, 3)])
    found = probabilities(network, torch.from_numpy(turned).unsqueeze(1)).amax(1)
    doubt = (1 - found).clamp(min=LEAST_DOUBT)
    best = int(doubt.argmin())
    if doubt[0] <= SURER * doubt[best]:
        return picture
    note = ", ".join(filter(None, (picture.note, TURNED_NOTE)))
    return picture._replace(image=turned[best], note=note)


def expand(
    paths: Sequence[str], left_out: Callable[[str, list[str]], None] | None = None
) -> list[str]:
    """Return the files that are meant by files, folders of pictures and patterns.

    Args:
        paths: Files, folders and patterns.
        left_out: Called with each folder that holds other files too, and their names.

    Raises:
        InputError: A folder holds no picture, or no file fits a pattern.
    """
    files: list[str] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found, others = [], []
            for file in sorted(path.rglob("*")):
                within = file.relative_to(path)
                if any(part.startswith(".") for part in within.parts):
                    continue
                if file.suffix.lower() in SUFFIXES:
                    found.append(str(file))
                elif file.is_file():
                    others.append(str(within))
            if others and left_out:
                left_out(name, others)
        elif not path.exists() and glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 absolute ones too
        else:
            found = [name]
        if not found:
            problem = "holds no picture" if path.is_dir() else "is not there and fits no file"
            raise InputError(name, problem, f"give {KINDS} files")
        files += found
    return files


def test_image(n: int, checkpoint: Checkpoint, data: Mapping[str, Any]) -> tuple[str, Picture]:
    """Return an image of the test set that belongs to a checkpoint, named by its label.

    Args:
        n: The image's place in the test set, from 0.
        checkpoint: Whose data set is meant.
        data: Arguments of `MNISTDataModule` that stand before the recorded ones.

    Raises:
        InputError: There is no such image, or it isn't of the size that the network takes.
    """
    from mnist_lit.data import datasets  # needed for this alone

    found = datasets.find(**datasets.options_of(checkpoint, data))
    found.prepare()
    images, labels = found.load(val_split=0)["test"]
    if not 0 <= n < len(images):
        raise InputError(
            Argument("test-image", n), "is not there", f"{found.name} has 0 to {len(images) - 1}"
        )
    image = images[n, 0].numpy()
    if image.shape[0] != checkpoint.image_size:
        side = checkpoint.image_size
        raise InputError(
            found.name,
            f"has images of {image.shape[0]}×{image.shape[0]} pixels, and the network takes "
            f"{side}×{side}",
            ("name the data that it was trained on by", Argument("dataset")),
        )
    return f"test image {n}", Picture(image, f"labelled {found.class_names[labels[n]]}")
