"""This project's `fit` with the notebook's first training: the defaults, without validation."""

from typing import Any

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
}
cli = CLI("fit", [f"--{name}={value}" for name, value in options.items()])
trainer: Any = cli.trainer
trainer.callbacks.append(Race())
trainer.fit(cli.model, datamodule=cli.datamodule)
trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
worker.tell(cli.model.totals["test"].accuracy)
