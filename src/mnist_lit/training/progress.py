"""What a training shows on screen."""

import sys
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm


class TrainingProgress(ProgressBar):
    """One bar with the time left for the whole training; plain lines where there is no terminal."""

    REFRESH = 50  # batches between redraws

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None

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
        if (batch_idx + 1) % self.REFRESH == 0:
            self._bar.update(self.REFRESH)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self._bar is not None
        self._bar.update(int(trainer.num_training_batches) % self.REFRESH)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.teardown(trainer, pl_module, "fit")  # or what is printed next stands on the bar's line

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
