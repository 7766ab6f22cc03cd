"""This project's `fit` with the notebook's first training: the defaults, without validation."""

# ruff: noqa: E402
from typing import Any

from mnist_lit import cores

cores.share()  # as the command line does

import worker
from lightning_race import Race
from mnist_lit import environment
from mnist_lit.cli.training import CLI

environment.quiet()
environment.prepare()
options = {
    "data.data_dir": worker.DATA_DIR,
    "data.source": "full",
    "data.val_split": 0,
    "trainer.max_epochs": worker.EPOCHS,
    "trainer.limit_train_batches": worker.IMAGES // 32,
}
cli = CLI("fit", [f"--{name}={value}" for name, value in options.items()])
trainer: Any = cli.trainer
trainer.callbacks.append(Race())
trainer.fit(cli.model, datamodule=cli.datamodule)
trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
worker.tell(cli.model.totals["test"].accuracy)
