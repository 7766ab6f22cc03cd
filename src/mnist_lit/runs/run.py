"""The folder of a run: making it, finding it, its checkpoints, its metrics, its summary."""

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.safetensors import PRETRAINED
from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")


class Run:
    """One run's folder, `runs/<name>/version_N`.

    The configuration is written at each start, so its time is that of the run's latest start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.metrics = folder / "metrics.csv"
        self.summary = folder / "summary.json"
        self.checkpoints = folder / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"

    def __str__(self) -> str:
        return str(self.folder)

    def remove(self) -> None:
        """Delete the folder, and those above it that hold nothing else, up to that of all runs."""
        shutil.rmtree(self.folder)
        with contextlib.suppress(OSError):  # other runs are there
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()

    def probe(self) -> None:
        """Write a file where checkpoints will be written, and delete it.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self.checkpoints / ".probe"
        with atomic_write(path):
            pass
        path.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        with atomic_write(self.config) as file:
            file.write(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())

    def read_config(self) -> dict[str, Any]:
        try:
            config = yaml.safe_load(self.config.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{self.config} cannot be read ({error}): start a new run") from error
        if not isinstance(config, dict):
            raise InputError(f"{self.config} holds no configuration: start a new run")
        return config

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `metrics.csv`, one row an epoch; a quantity that was not measured stays empty."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(self.metrics) as file:
            file.write(text.getvalue().encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def create(root: Path, name: str) -> Run:
    """Make the next version's folder; runs that start together each get their own."""
    parent = root / name
    parent.mkdir(parents=True, exist_ok=True)
    versions = [path.name.removeprefix("version_") for path in parent.glob("version_*")]
    version = max((int(v) for v in versions if v.isdecimal()), default=-1) + 1
    while True:
        try:
            (parent / f"version_{version}").mkdir()
        except FileExistsError:
            version += 1
        else:
            return Run(parent / f"version_{version}")


def _configs(root: Path) -> list[Path]:
    return list(root.glob("*/version_*/config.yaml"))


def newest(root: Path) -> Run:
    """Return the run that started last, across names.

    Raises:
        InputError: There is no run.
    """
    configs = _configs(root)
    if not configs:
        raise InputError(
            f"there is no run in {root}: train one by `python -m mnist_lit fit`, "
            "or name a checkpoint by --ckpt_path (`pretrained` comes with the package)"
        )
    return Run(max(configs, key=_time).parent)


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns


def run_of(checkpoint: Path) -> Run | None:
    """Return the run in whose folder the checkpoint lies, if it lies in one."""
    folder = checkpoint.absolute().parent.parent
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # as the user would write it
    run = Run(folder)
    inside = checkpoint.absolute().parent == run.checkpoints.absolute() and run.config.is_file()
    return run if inside else None


def newest_whole(damaged: Path) -> Path | None:
    """Return the youngest readable checkpoint beside a damaged one of the same run."""
    epochs = {}
    for path in damaged.parent.glob("*.ckpt"):
        with contextlib.suppress(InputError):
            epochs[path] = checkpoints.read(path)["epoch"]
    return max(epochs, key=lambda path: epochs[path], default=None)


def find_checkpoint(which: str | None, root: Path, *, or_pretrained: bool = False) -> Path:
    """Return the checkpoint that `which` means.

    `best` and `last` are the newest run's, `pretrained` comes with the package, all else is a path.
    None means `best`, and `last` where the run has no validation, which is said; where there is
    no run at all, with `or_pretrained`, what comes with the package, which is said too.

    Raises:
        InputError: There is no such checkpoint.
    """
    if which is None and or_pretrained and not _configs(root):
        print(f"there is no run in {root}: taking the weights that come with the package")
        which = "pretrained"
    if which == "pretrained":
        return PRETRAINED
    if which not in (None, "best", "last"):
        return Path(which)
    run = newest(root)
    wanted = run.last if which == "last" else run.best
    if wanted.is_file():
        return wanted
    if not run.last.is_file():
        older = sorted(root.glob("*/version_*/checkpoints/last.ckpt"), key=_time)
        another = older[-1] if older else "pretrained"
        raise InputError(
            f"{run} has no checkpoint yet: wait for its first epoch, go on with it by "
            f"`python -m mnist_lit fit --ckpt_path last`, or take --ckpt_path {another}"
        )
    if which == "best":
        raise InputError(f"{run} has no best checkpoint (no validation): use --ckpt_path last")
    print(f"{run} has no best checkpoint (no validation): taking its last")
    return run.last


def copy_best(source: Path, epoch: int, run: Run) -> None:
    """Take over the best checkpoint beside `source` into a new run, if it is not younger."""
    best = source.parent / "best.ckpt"
    if best.is_file() and checkpoints.read(best)["epoch"] <= epoch:
        with best.open("rb") as old, atomic_write(run.best) as new:
            shutil.copyfileobj(old, new)
