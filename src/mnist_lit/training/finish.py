"""The end of a fit: the best and the last checkpoint, each tested once, and the summary."""

import contextlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch

import mnist_lit
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.evaluation import Answers, evaluate
from mnist_lit.runs import summary
from mnist_lit.training.module import load_checkpoint
from mnist_lit.training.recorder import Recorder


class Tested(NamedTuple):
    """A checkpoint's metrics and its answers to the test images."""

    metrics: dict[str, Any]
    answers: Answers


def test_checkpoints(
    trainer: pl.Trainer, data: MNISTDataModule, recorder: Recorder
) -> dict[str, Tested]:
    """Test the run's `best` and `last` checkpoints; of the same epoch only one of them."""
    run, found = recorder.run, {}
    of_epoch: dict[int, Tested] = {}
    for name, path in (("best", run.best), ("last", run.last)):
        if not path.is_file():
            continue
        epoch = checkpoints.read(path).epoch + 1
        if epoch not in of_epoch:
            row = recorder.rows[epoch - 1]
            of_epoch[epoch] = _test(trainer, data, path, {"epoch": epoch} | {
                name: row[name] for name in ("val_loss", "val_accuracy")
            })  # fmt: skip
        found[name] = of_epoch[epoch]
    return found


def _test(trainer: pl.Trainer, data: MNISTDataModule, path: Path, row: Mapping[str, Any]) -> Tested:
    # Not by Lightning's ckpt_path, which would take the recorder back to that epoch too.
    module = load_checkpoint(path)
    trainer.test(module, data, verbose=False)
    assert module.answers is not None
    found = evaluate(module.answers)
    metrics = dict(row) | {"test_loss": found.loss, "test_accuracy": found.accuracy}
    if found.balanced_accuracy is not None:
        metrics["balanced_accuracy"] = found.balanced_accuracy
    return Tested(metrics, module.answers)


def summarise(
    trainer: pl.Trainer,
    data: MNISTDataModule,
    recorder: Recorder,
    tested: Mapping[str, Tested],
    *,
    seed: int,
    command: str,
) -> dict[str, Any]:
    """Write `summary.json` and return its content; `command` is what finished the run."""
    best, last = tested.get("best"), tested["last"]
    sizes = {f"n_{name}": len(data.splits.get(name, ())) for name in ("train", "val")}
    content = {
        "dataset": data.name,
        **sizes,
        # As counted: the trainer may have been told to stop early.
        "n_trained": recorder.n_trained or sizes["n_train"],
        "n_test": len(last.answers.labels),
        "epochs": len(recorder.rows),
        "best_epoch": best.metrics["epoch"] if best else None,
        "last": last.metrics,
        "best": best.metrics if best else None,
        "seconds": round(sum(row["seconds"] for row in recorder.rows), 3),
        "device": str(trainer.strategy.root_device),
        "machine": machine(),
        "command": command,
        "seed": seed,
        "versions": versions(),
        # Of the user's own data alone: what must be known to read the metrics.
        **({"warnings": list(data.dataset.odd)} if data.dataset.odd else {}),
    }
    summary.write(recorder.run, content)
    return content


def machine() -> str:
    """Return the processor, its cores and the system in words."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # Linux alone has the file
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        name = found[1] if found else name
    threads = torch.get_num_threads()
    return f"{name}, cores: {os.cpu_count()}, threads: {threads}, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the versions that a metric depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": importlib.metadata.version("lightning"),
        "mnist-lit": mnist_lit.__version__,
    }
