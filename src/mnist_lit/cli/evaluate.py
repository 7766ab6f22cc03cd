"""`validate` and `test`: a checkpoint's metrics on a data set."""

import logging
from pathlib import Path
from typing import Any

from mnist_lit import environment
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.cli.options import output_file
from mnist_lit.cli.training import CLI, refuse_other
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import Argument, InputError, printable
from mnist_lit.evaluation import evaluate
from mnist_lit.files import write_json
from mnist_lit.training.module import MNISTModule, load_checkpoint
from mnist_lit.training.weights import changed

log = logging.getLogger("mnist_lit")


def evaluate_checkpoint(command: str, args: list[str]) -> int:
    """Validate or test a checkpoint; print the metrics, and write them by --output."""
    environment.quiet()
    cli = CLI(command, args)
    assert cli.checkpoint is not None
    output = output_file(cli.config.output, (".json",))
    module, data = load_checkpoint(cli.checkpoint.path), cli.datamodule
    _prepare(cli.checkpoint, data)
    split = "val" if command == "validate" else "test"
    data.setup(command)
    if split not in data.splits:
        raise InputError(
            cli.checkpoint.path, "was trained without validation (val_split 0)", "use `test`"
        )
    getattr(cli.trainer, command)(module, datamodule=data, verbose=False)
    if not cli.trainer.is_global_zero:
        return 0
    table = _table(module, data, split, cli.checkpoint.path)
    width = max(map(len, table)) + 1
    for name, value in table.items():
        text = f"{value:.6f}" if isinstance(value, float) else str(value)
        print(f"{name:<{max(width, 12)}}{printable(text)}")
    if output:
        write_json(output, table)
    return 0


def _prepare(checkpoint: Checkpoint, data: MNISTDataModule) -> None:
    """Prepare the data set; refuse one whose metrics would say nothing about the checkpoint."""
    path, trained_on = checkpoint.path, checkpoint.dataset
    refuse_other(checkpoint, data)
    data.prepare_data()
    if data.name == sample.NAME and sample.was_trained_on(trained_on):
        raise InputError(
            path,
            f"was trained on {trained_on}, which holds the sample's images",
            ("test it by", Argument("source", "full")),
        )
    if datasets.has_changed(data.dataset, checkpoint):
        log.warning(changed(data.name, checkpoint))


def _table(module: MNISTModule, data: MNISTDataModule, split: str, path: Path) -> dict[str, Any]:
    assert module.answers is not None
    found = evaluate(module.answers)
    table: dict[str, Any] = {
        "dataset": data.name,
        "split": split,
        "n": found.n,
        "correct": found.correct,
        "accuracy": found.accuracy,
        "loss": found.loss,
        "checkpoint": str(path),
    }
    if found.balanced_accuracy is not None and split == "test":
        table["balanced_accuracy"] = found.balanced_accuracy
    return table
