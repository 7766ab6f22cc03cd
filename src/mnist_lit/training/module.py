"""The network under training: loss, metrics, optimiser."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.splits import unbalanced
from mnist_lit.errors import InputError, RunError
from mnist_lit.network.network import NETWORKS
from mnist_lit.pictures.preprocessing import PREPROCESSING


class Result(NamedTuple):
    """What one pass over a data set came to."""

    loss: float
    correct: int
    n: int
    # Of test images alone, and where classes have unlike numbers of them: the mean recall.
    balanced_accuracy: float | None = None

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


class MNISTModule(pl.LightningModule):
    """Trains the network as the notebook does: negative log-likelihood, Adam with Keras's values.

    Args:
        num_classes: Number of classes.
        class_names: A name for each class; by default their numbers.
        dataset: Name of the data set that the weights come from.
        network: `notebook`, the notebook's own, or `small`, a better one of no more parameters.
        preprocessing: How a picture becomes the network's input: `mnist`, `emnist` or `plain`.
        lr: Adam's learning rate; under `one_cycle` its peak.
        schedule: `constant`, or `one_cycle`: rising from a 25th of the peak, then falling to nearly
            nothing (PyTorch's OneCycleLR).
        warmup: Share of all steps in which `one_cycle` rises.
        betas: Adam's decay rates of the two moments.
        eps: Adam's epsilon; 1e-7 is Keras's (PyTorch's is 1e-8). Keras adds it before the bias
            correction, which matters for gradients of about 1e-6 and below in early steps.
        dropout: Probability that a feature of the last convolution is dropped in training.

    Raises:
        InputError: A value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        class_names: Sequence[str] | None = None,
        dataset: str = "mnist",
        preprocessing: str = "mnist",
        network: Literal["notebook", "small"] = "notebook",
        lr: float = 1e-3,
        schedule: Literal["constant", "one_cycle"] = "constant",
        warmup: float = 0.3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        names = list(class_names or map(str, range(num_classes)))
        if not (num_classes >= 2 and len(names) == num_classes):
            raise InputError(f"num_classes {num_classes} must be at least 2, with as many names")
        if preprocessing not in PREPROCESSING:
            raise InputError(f"preprocessing {preprocessing} is none of {', '.join(PREPROCESSING)}")
        if not 0 < lr < math.inf:
            raise InputError(f"--model.lr {lr} must be above 0")
        if not 0 < warmup < 1:
            raise InputError(f"--model.warmup {warmup} must be above 0 and below 1")
        if not 0 <= dropout < 1:
            raise InputError(f"--model.dropout {dropout} must be at least 0 and below 1")
        if not 0 <= eps < math.inf:
            raise InputError(f"--model.eps {eps} must be at least 0")
        if not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"--model.betas {list(betas)} must be at least 0 and below 1")
        # Written out, not gathered by Lightning: a checkpoint holds plain values and no class path.
        self.save_hyperparameters(
            {
                "num_classes": num_classes,
                "class_names": names,
                "dataset": dataset,
                "preprocessing": preprocessing,
                "network": network,
                "lr": lr,
                "schedule": schedule,
                "warmup": warmup,
                "betas": list(betas),
                "eps": eps,
                "dropout": dropout,
            }
        )
        self.network = NETWORKS[network](num_classes, dropout=dropout)
        # Of each batch since the stage began: mean loss, correct answers, size. The tensors stay
        # on the device, so that no step waits for it.
        self._batches: dict[str, list[tuple[Tensor, Tensor, int]]] = {}
        self._labels: list[tuple[Tensor, Tensor]] = []  # of test batches: all, and those read right
        self.results: dict[str, Result] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities N×num_classes of float images N×1×28×28 in [0, 1]."""
        log_probabilities: Tensor = self.network(images)
        return log_probabilities

    def _step(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        images, labels = batch
        # The crop drops what can reach no output. Scaled here, on the device and in the module's
        # own type, so that bytes travel and every precision works.
        cropped = images[..., : self.network.side, : self.network.side]
        cropped = cropped.to(self.dtype, memory_format=torch.channels_last)
        log_probabilities = self(cropped.div_(255))
        loss = functional.nll_loss(log_probabilities, labels)
        right = log_probabilities.detach().argmax(1) == labels
        self._batches[stage].append((loss.detach(), right.sum(), len(labels)))
        if stage == "test":
            self._labels.append((labels, labels[right]))
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "test")

    def on_fit_start(self) -> None:
        # Known only now: the embedded sample may stand in for the data set asked for.
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.hparams["dataset"] = getattr(data, "name", self.hparams["dataset"])

    def on_train_epoch_start(self) -> None:
        self._batches["train"] = []
        self.results.pop("val", None)  # not every epoch need be validated
        # Dropout is a function of (seed, epoch, process), so that a resumed run draws the same.
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
        place = [seed, self.current_epoch, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def on_validation_epoch_start(self) -> None:
        if self._batches.get("train"):
            self._losses("train")  # a bad step is named before validation meets its consequences
        self._batches["val"] = []

    def on_test_epoch_start(self) -> None:
        self._batches["test"], self._labels = [], []

    def on_train_epoch_end(self) -> None:
        # Lightning counts epochs from 0; file names, tables and charts count them from 1.
        self.log("epoch", float(self.current_epoch + 1), sync_dist=True)
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
        result = Result(loss=float(sums[0] / sums[2]), correct=int(sums[1]), n=int(sums[2]))
        if stage == "test":
            result = result._replace(balanced_accuracy=self._balanced_accuracy())
        self.results[stage] = result
        self.log_dict(
            {f"{stage}_loss": result.loss, f"{stage}_accuracy": result.accuracy}, sync_dist=True
        )

    def _sum(self, values: Tensor) -> Tensor:
        """Add up float64 values on the CPU over all processes."""
        if self.trainer.world_size == 1:
            return values
        total: Tensor = self.trainer.strategy.reduce(
            values.float().to(self.device), reduce_op="sum"
        )
        return total.cpu()

    def _balanced_accuracy(self) -> float | None:
        n, right = (
            self._sum(
                torch.cat(parts).bincount(minlength=self.hparams["num_classes"]).cpu().double()
            )
            for parts in zip(*self._labels, strict=True)
        )
        if not unbalanced(n.numpy()):
            return None
        return float((right[n > 0] / n[n > 0]).mean())

    def _losses(self, stage: str) -> Tensor:
        """Return the batches' losses as float64 on the CPU.

        Raises:
            RunError: One is not a finite number.
        """
        losses = torch.stack([loss for loss, _, _ in self._batches[stage]]).cpu().double()
        if not losses.isfinite().all():
            step = int(losses.isfinite().logical_not().nonzero()[0]) + 1
            raise RunError(
                f"the {stage} loss is {losses[step - 1]} in epoch {self.current_epoch + 1} at step "
                f"{step}: lower --model.lr (now {self.hparams['lr']}), or look at the images"
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
            raise InputError("--model.schedule one_cycle needs an end: give --trainer.max_epochs")
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, values["lr"], int(steps), pct_start=values["warmup"]
        )
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def load_checkpoint(path: str | Path) -> MNISTModule:
    """Return the module that `path` describes, with its weights, ready to evaluate on the CPU.

    Raises:
        InputError: The file is no whole checkpoint, or is one of another network.
    """
    checkpoint = checkpoints.read(path)
    try:
        module = MNISTModule(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"])
    except Exception as error:  # what a stranger's values raise is not limited
        raise checkpoints.another_network(path, error) from error
    return module.eval()
