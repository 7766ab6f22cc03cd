"""A Lightning callback that starts and ends each epoch by the race's word."""

import lightning.pytorch as pl

import worker


class Race(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        worker.wait()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        worker.tell()
