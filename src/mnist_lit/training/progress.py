"""What a training shows on screen while it goes on."""

import logging
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from mnist_lit import cores

log = logging.getLogger("mnist_lit")


class Starvation(pl.Callback):
    """Says so once where the threads wait for a core longer than they compute."""

    EVERY = 10  # seconds
    MOST = 0.5  # of the time, in which a thread waits

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # One thread has nothing to spin for, and where threads sleep nothing is to be done.
        self._watching = torch.get_num_threads() > 1 and not cores.shared()
        self._since, self._waited = time.monotonic(), cores.waited()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        seconds = time.monotonic() - self._since
        if not self._watching or seconds < self.EVERY:
            return
        waited = cores.waited()
        if waited - self._waited > self.MOST * seconds:
            self._watching = False
            log.warning(
                "other processes take the cores from this training, and its threads wait for each "
                "other: stop it, and start or resume it again, and they will share the cores "
                "several times as fast"
            )
        self._since, self._waited = time.monotonic(), waited


class TrainingProgress(ProgressBar):
    """One bar with the time left for the whole training; plain lines where there is no terminal."""

    REFRESH = 0.2  # seconds between redraws

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._unseen, self._drawn = 0, 0.0  # batches since it was drawn, and when that was

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        if self._enabled:
            tqdm.write(" ".join(map(str, args)), file=sys.stdout)
            sys.stdout.flush()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epochs, batches = trainer.max_epochs or -1, trainer.num_training_batches
        self._bar = tqdm(
            total=int(epochs * batches) if epochs > 0 and batches < float("inf") else None,
            initial=int(trainer.current_epoch * batches) if batches < float("inf") else 0,
            unit="batch",
            file=sys.stdout,
            disable=not (self._enabled and sys.stdout.isatty()),
            dynamic_ncols=True,
            leave=False,
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self._bar is not None
        self._bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert self._bar is not None
        self._unseen += 1
        if time.monotonic() - self._drawn >= self.REFRESH:
            self._show()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._show()

    def _show(self) -> None:
        assert self._bar is not None
        self._bar.update(self._unseen)
        self._unseen, self._drawn = 0, time.monotonic()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.teardown(trainer, pl_module, "fit")  # or what is printed next stands on the bar's line

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
