"""The records of a run as `fit` leaves them, without a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_lit import MNISTModule
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.evaluation import Answers
from mnist_lit.report.history import best_epoch
from mnist_lit.runs import metrics
from mnist_lit.runs import summary as summaries
from mnist_lit.runs.run import Run

Row = dict[str, Any]


def row(
    epoch: int, train: float, val: float | None, accuracies: tuple[float, float] = (0.5, 0.5)
) -> Row:
    """Return an epoch's row by its training and validation loss."""
    return {
        "epoch": epoch,
        "train_loss": train,
        "train_accuracy": accuracies[0],
        "val_loss": val,
        "val_accuracy": None if val is None else accuracies[1],
        "lr": 1e-3,
        "seconds": 10.0,
    }


def rows_of(*losses: float) -> list[Row]:
    """Return the rows of epochs with these validation losses, and a training loss of 0.5."""
    return [row(i, 0.5, loss) for i, loss in enumerate(losses, 1)]


def write_run(
    folder: str | Path,
    rows: Sequence[Row],
    names: Sequence[str] = ("a", "b"),
    *,
    dataset: str = "pictures",
    fingerprint: str = "",
    config: Mapping[str, Any] | None = None,
    finished: bool = True,
    accuracy: float = 0.5,
    **module: Any,
) -> Run:
    """Write a run.

    Args:
        folder: Its folder.
        rows: Its metrics.
        names: Of the classes; none means that it has no checkpoint.
        dataset: The data set really used.
        fingerprint: Of the user's own data.
        config: Parts of the configuration that differ from a simple one's, by dotted name.
        finished: Whether it has a summary.
        accuracy: On the test images, of the best and the last epoch.
        module: Arguments of `MNISTModule`.
    """
    run = Run(Path(folder))
    whole: dict[str, Any] = {"name": "x", "ckpt_path": None, "seed_everything": 0}
    whole |= {"data": {"dataset": "pictures", "source": "auto"}, "model": {}, "trainer": {}}
    for name, value in (config or {}).items():
        part, _, key = name.rpartition(".")
        (whole[part] if part else whole)[key] = value
    run.folder.mkdir(parents=True)
    run.write_config(whole)
    metrics.write(run, rows)
    epochs = {run.best: best_epoch(rows), run.last: len(rows)}
    for path, epoch in epochs.items() if names else ():
        if epoch is not None:
            written = MNISTModule(len(names), names, dataset, "plain", **module)
            checkpoints.write(path, {
                "state_dict": written.state_dict(),
                "hyper_parameters": dict(written.hparams),
                "epoch": epoch - 1,
                "config": whole,
                "fingerprint": fingerprint,
            })  # fmt: skip
    if finished:
        tested = {"test_accuracy": accuracy}
        summaries.write(run, {
            "dataset": dataset, "n_train": 3, "n_val": 1, "n_test": 2, "seed": 0, "device": "cpu",
            "seconds": 20.0, "best": tested if best_epoch(rows) else None, "last": tested,
            "versions": {"torch": "2", "lightning": "2"},
        })  # fmt: skip
    return run


def answers(counts: Sequence[int], side: int = 28, *, seed: int = 0) -> Answers:
    """Return answers to so many images of each class; about one in four is wrong."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    images = rng.integers(0, 256, (len(labels), side, side), dtype=np.uint8)
    chances = rng.random((len(labels), len(counts))).astype(np.float32)
    chances[np.arange(len(labels)), labels] += 0.7
    chances /= chances.sum(1, keepdims=True)
    return Answers(images, labels, np.log(chances))
