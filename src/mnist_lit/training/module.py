"""The network under training: loss, metrics, optimiser."""

import inspect
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import Argument, InputError, RunError, listed
from mnist_lit.evaluation import Answers
from mnist_lit.network.architecture import Architecture
from mnist_lit.network.inference import to_input
from mnist_lit.network.network import Network
from mnist_lit.pictures.preprocessing import PREPROCESSING
from mnist_lit.training.teaching import Teachers, taught_loss


class Totals(NamedTuple):
    """What one pass over a data set came to."""

    loss: float
    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


class MNISTModule(pl.LightningModule):
    """Trains a network as the notebook does: negative log-likelihood, Adam with Keras's values.

    A batch is images N×1×S×S of 0 to 255, of any dtype, and int64 labels N. The first five
    arguments follow from the data set: `MNISTModule(**data.linked)`.

    Args:
        num_classes: Number of classes.
        class_names: A name for each class; by default their numbers.
        dataset: Name of the data set that the weights come from.
        preprocessing: How a picture becomes the network's input: `mnist`, `emnist` or `plain`.
        image_size: Side of the images in pixels.
        network: `notebook`, the notebook's own; `small`, a better one of no more parameters; a YAML
            file; or a list of layers.
        lr: Adam's learning rate; under `one_cycle` its peak.
        schedule: `constant`, or `one_cycle`: rising from a 25th of the peak, then falling to nearly
            nothing (PyTorch's OneCycleLR).
        warmup: Share of all steps in which `one_cycle` rises.
        betas: Adam's decay rates of the two moments.
        eps: Adam's epsilon; 1e-7 is Keras's (PyTorch's is 1e-8). Keras adds it before the bias
            correction, which matters for gradients of about 1e-6 and below in early steps.
        dropout: Probability that each Dropout of `notebook` or `small` drops a feature in training;
            by default the network's own, 0.2. A list of layers has its own.
        smoothing: Share of each label that is spread evenly over all classes in training. Losses
            are recorded as without.
        teacher: A checkpoint, a list of them, or `pretrained`: the network also learns to answer as
            their mean does, at every training image. Losses are recorded as without.
        large: Whether a network may have more than 50 million parameters.

    Raises:
        InputError: A value is out of its range, or the network's layers don't fit together.
    """

    def __init__(
        self,
        num_classes: int = 10,
        class_names: Sequence[str] | None = None,
        dataset: str = "mnist",
        preprocessing: str = "mnist",
        image_size: int = 28,
        network: str | list[Any] | dict[str, Any] = "notebook",
        lr: float = 1e-3,
        schedule: Literal["constant", "one_cycle"] = "constant",
        warmup: float = 0.3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        dropout: float | None = None,
        smoothing: float = 0.0,
        teacher: str | list[str] | None = None,
        large: bool = False,
    ) -> None:
        super().__init__()
        names = list(class_names or map(str, range(num_classes)))
        _check(num_classes, names, preprocessing, lr, warmup, betas, eps, smoothing)
        architecture = Architecture.of(network, dropout=dropout)
        # Written out, not gathered by Lightning: a checkpoint holds plain values and no class path.
        self.save_hyperparameters(
            {
                "num_classes": num_classes,
                "class_names": names,
                "dataset": dataset,
                "preprocessing": preprocessing,
                "image_size": image_size,
                "network": architecture.plain(),
                "lr": lr,
                "schedule": schedule,
                "warmup": warmup,
                "betas": list(betas),
                "eps": eps,
                "smoothing": smoothing,
                "teacher": [teacher] if isinstance(teacher, str) else list(teacher or []),
                "large": large,
            }
        )
        self.network = Network(
            num_classes, network=architecture, image_size=image_size, large=large
        )
        # No part of the module: its weights are neither trained nor saved.
        self._teachers: Teachers | None = None
        # Of each batch since the stage began: mean loss, correct answers, size. The tensors stay
        # on the device, so that no step waits for it.
        self._batches: dict[str, list[tuple[Tensor, Tensor, int]]] = {}
        self.totals: dict[str, Totals] = {}
        # Of a pass of `validate` or `test`: each batch's images, labels and log-probabilities.
        self._answered: list[list[Tensor]] = []
        self._keeps_answers = False
        self.answers: Answers | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities N×num_classes of float images N×1×S×S in [0, 1].

        S is the image size. The upper-left square of `network.side` pixels will do.
        """
        log_probabilities: Tensor = self.network(images)
        return log_probabilities

    def _answer(self, images: Tensor) -> Tensor:
        """Return log-probabilities N×num_classes of images N×1×S×S of 0 to 255."""
        # The crop drops what can reach no output. Scaled here, on the device and in the module's
        # own type, so that bytes travel and every precision works.
        cropped = images[..., : self.network.side, : self.network.side]
        log_probabilities: Tensor = self(to_input(cropped, self.dtype))  # type: ignore[arg-type]
        return log_probabilities

    def _step(self, batch: tuple[Tensor, Tensor], stage: str) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities and their loss."""
        images, labels = batch
        if not self._batches[stage] and images.is_floating_point():
            _check_scale(images)
        log_probabilities = self._answer(images)
        loss = functional.nll_loss(log_probabilities, labels)
        right = log_probabilities.detach().argmax(1) == labels
        self._batches[stage].append((loss.detach(), right.sum(), len(labels)))
        if self._keeps_answers:
            found = (images, labels, log_probabilities.float())
            self._answered.append([part.cpu() for part in found])
        return log_probabilities, loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        # Before the step, which may scale the images in place.
        taught = self._teachers.answer(batch[0]) if self._teachers else None
        log_probabilities, loss = self._step(batch, "train")
        if smoothing := self.hparams["smoothing"]:
            loss = (1 - smoothing) * loss - smoothing * log_probabilities.mean()
        return loss if taught is None else taught_loss(loss, log_probabilities, taught)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._answer(batch[0])

    def find_teachers(self) -> Teachers | None:
        """Read the teachers' checkpoints, if there are any and they aren't read yet.

        Raises:
            InputError: One can't be read, or is of other classes or images.
        """
        values = self.hparams
        if values["teacher"] and not self._teachers:
            self._teachers = Teachers(
                values["teacher"], values["class_names"], values["image_size"]
            )
        return self._teachers

    def setup(self, stage: str) -> None:
        self._keeps_answers = stage != "fit"
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, MNISTDataModule):
            _check_linked(self.hparams, data)
        if stage == "fit":
            self.find_teachers()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._teachers:
            checkpoint["teachers"] = self._teachers.checksums

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._teachers:
            self._teachers.refuse_changes(checkpoint.get("teachers"))

    def on_fit_start(self) -> None:
        if self._teachers:
            self._teachers.to(self.device, self.dtype)
        # Known only now: the embedded sample may stand in for the data set asked for.
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        for value, name in (("dataset", "name"), ("preprocessing", "preprocessing")):
            self.hparams[value] = getattr(data, name, self.hparams[value])

    def on_train_epoch_start(self) -> None:
        self._batches["train"] = []
        self.totals.pop("val", None)  # not every epoch need be validated
        # Dropout is a function of (seed, epoch, process), so that a resumed run draws the same.
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
        place = [seed, self.current_epoch, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def on_validation_epoch_start(self) -> None:
        if self._batches.get("train"):
            self._losses("train")  # a bad step is named before validation meets its consequences
        self._batches["val"], self._answered = [], []

    def on_test_epoch_start(self) -> None:
        self._batches["test"], self._answered = [], []

    def on_train_batch_end(self, *args: Any) -> None:
        if self.trainer.is_last_batch:  # here, so that callbacks at the epoch's end know its loss
            self._end_training_epoch()

    def on_train_epoch_end(self) -> None:
        if self._batches["train"]:  # it was cut short
            self._end_training_epoch()

    def _end_training_epoch(self) -> None:
        # Lightning counts epochs from 0; file names, tables and charts count them from 1.
        self._log({"epoch": float(self.current_epoch + 1)}, shown=False)
        self._end_epoch("train")

    def on_validation_epoch_end(self) -> None:
        self._end_epoch("val")

    def on_test_epoch_end(self) -> None:
        self._end_epoch("test")

    def _end_epoch(self, stage: str) -> None:
        """Add up the batches of all processes; the callbacks that save come after this hook."""
        loss = self._losses(stage)
        _, corrects, sizes = zip(*self._batches[stage], strict=True)
        correct = torch.stack(corrects).sum().cpu().double()
        n = torch.tensor(sizes, dtype=torch.float64)
        # Whole numbers up to 2**24 and sums of losses are safe in every device's float32.
        sums = self._sum(torch.stack([(loss * n).sum(), correct, n.sum()]))
        totals = Totals(loss=float(sums[0] / sums[2]), correct=int(sums[1]), n=int(sums[2]))
        self.totals[stage] = totals
        self._batches[stage] = []
        values = {f"{stage}_loss": totals.loss, f"{stage}_accuracy": totals.accuracy}
        self._log(values, shown=True)
        if self._answered:
            self.answers = self._gathered()
            self._answered = []

    def _log(self, values: dict[str, float], *, shown: bool) -> None:
        """Log values of an epoch, as they are."""
        logger = None if shown else False  # as the trainer has one, or none
        self.log_dict(
            values, prog_bar=shown, logger=logger, on_step=False, on_epoch=True, sync_dist=True,
            batch_size=1,
        )  # fmt: skip

    def _sum(self, values: Tensor) -> Tensor:
        """Add up float64 values on the CPU over all processes."""
        if self.trainer.world_size == 1:
            return values
        total: Tensor = self.trainer.strategy.reduce(
            values.float().to(self.device), reduce_op="sum"
        )
        return total.cpu()

    def _gathered(self) -> Answers:
        """Return the answers of all processes, in the order of the images."""
        own = [torch.cat(parts) for parts in zip(*self._answered, strict=True)]
        n = self.trainer.world_size
        shares = [own] * n
        if n > 1:
            torch.distributed.all_gather_object(shares, own)
        whole = []
        for parts in zip(*shares, strict=True):
            # Process i of n has the images i, i + n, i + 2n, …
            total = torch.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
            for i, part in enumerate(parts):
                total[i::n] = part
            whole.append(total.numpy())
        images, labels, log_probabilities = whole
        return Answers(images[:, 0], labels, log_probabilities)

    def _losses(self, stage: str) -> Tensor:
        """Return the batches' losses as float64 on the CPU.

        Raises:
            RunError: One is not a finite number.
        """
        losses = torch.stack([loss for loss, _, _ in self._batches[stage]]).cpu().double()
        if not losses.isfinite().all():
            step = int(losses.isfinite().logical_not().nonzero()[0]) + 1
            raise RunError(
                f"the {stage} loss",
                f"is {losses[step - 1]} in epoch {self.current_epoch + 1} at step {step}",
                ("lower", Argument("lr"), f"(now {self.hparams['lr']}), or look at the images"),
            )
        return losses

    def configure_optimizers(self) -> Any:
        values = self.hparams
        optimizer = torch.optim.Adam(
            self.parameters(), values["lr"], tuple(values["betas"]), values["eps"], fused=True
        )
        if values["schedule"] == "constant":
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < math.inf:
            raise InputError(
                Argument("schedule", "one_cycle"), "needs an end", ("give", Argument("max_epochs"))
            )
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, values["lr"], int(steps), pct_start=values["warmup"]
        )
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


ARGUMENTS = frozenset(inspect.signature(MNISTModule).parameters)


def _check(
    num_classes: int,
    names: Sequence[str],
    preprocessing: str,
    lr: float,
    warmup: float,
    betas: tuple[float, float],
    eps: float,
    smoothing: float,
) -> None:
    """Raise InputError where a value is out of its range."""

    def out_of_range(name: str, value: object, needed: str) -> InputError:
        return InputError(Argument(name, value), "is out of range", f"give {needed}")

    if not (num_classes >= 2 and len(names) == num_classes):
        raise out_of_range("num_classes", num_classes, "at least 2, with as many names")
    if preprocessing not in PREPROCESSING:
        raise out_of_range("preprocessing", preprocessing, f"one of {', '.join(PREPROCESSING)}")
    if not 0 < lr < math.inf:
        raise out_of_range("lr", lr, "a number above 0")
    if not 0 < warmup < 1:
        raise out_of_range("warmup", warmup, "a number above 0 and below 1")
    if not 0 <= eps < math.inf:
        raise out_of_range("eps", eps, "a number of at least 0")
    if not 0 <= smoothing < 1:
        raise out_of_range("smoothing", smoothing, "at least 0 and less than 1")
    if not all(0 <= beta < 1 for beta in betas):
        raise out_of_range("betas", list(betas), "numbers of at least 0 and below 1")


def _check_scale(images: Tensor) -> None:
    """Raise InputError where images are in [0, 1] already, as torchvision's ToTensor makes them."""
    if 0 < images.max() <= 1:
        raise InputError("the images", "are of 0 to 1", "give bytes, of 0 to 255")


def _check_linked(values: Mapping[str, Any], data: MNISTDataModule) -> None:
    """Raise InputError where a module was made for other data than it is given."""
    problem = ""
    if values["class_names"] != data.class_names:
        problem = f"has the classes {listed(values['class_names'])}, not {listed(data.class_names)}"
    elif values["image_size"] != data.image_size:
        problem = f"has the image size {values['image_size']}, not {data.image_size}"
    if problem:
        raise InputError(
            "the module", f"{problem} as the data", "make it by MNISTModule(**data.linked)"
        )


def load_checkpoint(path: str | Path) -> MNISTModule:
    """Return the module that `path` describes, with its weights, ready to evaluate on the CPU.

    Raises:
        InputError: The file isn't a whole checkpoint, or doesn't fit this version.
    """
    checkpoint = checkpoints.read(path)
    try:
        # A subclass may have more of them.
        values = {k: v for k, v in checkpoint.hyper_parameters.items() if k in ARGUMENTS}
        module = MNISTModule(**values | {"large": checkpoint.is_large})
        module.network.load_state_dict(checkpoint.weights)
    except Exception as error:  # malformed values can make this raise anything
        raise checkpoints.does_not_fit(path, error) from error
    return module.eval()
