"""Which epochs are saved, and how a checkpoint gets to disk."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.training.recorder import Recorder, is_dropped


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint at each epoch's end, in the folder that the recorder makes.

    Its state holds no path, so that a run's folder can be moved and a checkpoint read anywhere.
    """

    def __init__(self, recorder: Recorder, filename: str, **options: Any) -> None:
        super().__init__(
            filename=filename,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
            **options,
        )
        self._recorder = recorder

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self.dirpath = str(self._recorder.run.checkpoints.absolute())
        super().setup(trainer, pl_module, stage)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        path = self._recorder.run.best
        scores = [row["val_loss"] for row in self._recorder.rows if row["val_loss"] is not None]
        if self.monitor and scores and path.is_file():
            self.best_model_path = self.kth_best_model_path = str(path.absolute())
            self.best_model_score = self.kth_value = torch.tensor(min(scores))
            self.best_k_models = {self.best_model_path: self.best_model_score}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_dropped(trainer):
            return
        if self.monitor is None or self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)


def saving(recorder: Recorder) -> list[RunCheckpoint]:
    """Return what saves: every fifth epoch, the best on validation and, after them, the last."""
    return [
        RunCheckpoint(recorder, "epoch-{epoch:03d}", every_n_epochs=5, save_top_k=-1),
        RunCheckpoint(recorder, "best", monitor="val_loss"),
        RunCheckpoint(recorder, "last", every_n_epochs=1),
    ]


class SafeCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, safe and whole.

    Lightning itself makes its temporary file in $TMPDIR, reads without comparing checksums, and is
    silent where the folder cannot be written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        checkpoints.write(Path(path), checkpoint)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoints.read(path).content
