"""A Lightning callback that waits for the start of each epoch and reports its end."""

import lightning.pytorch as pl

import worker


class Race(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        worker.wait()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        worker.tell()
