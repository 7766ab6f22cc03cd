"""Finding a run, and the checkpoint that a word such as `best` means."""

import contextlib
import logging
import shutil
from pathlib import Path

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import PRETRAINED
from mnist_lit.errors import Argument, InputError
from mnist_lit.files import atomic_write
from mnist_lit.runs.run import Run

log = logging.getLogger("mnist_lit")


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
            f"there is no run in {root}", "",
            ("train one by `python -m mnist_lit fit`, name the folder of another one's runs by",
             Argument("runs"), "or name a checkpoint by", Argument("checkpoint"),
             "(`pretrained` comes with the package)"),
        )  # fmt: skip
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
            epochs[path] = checkpoints.read(path).epoch
    return max(epochs, key=lambda path: epochs[path], default=None)


def find_checkpoint(which: str | None, root: Path, *, or_pretrained: bool = False) -> Path:
    """Return the checkpoint that `which` means.

    `best` and `last` are the newest run's, `pretrained` comes with the package, anything else is a
    path: of a checkpoint, or of a run's folder, which means its best. None means `best`, or `last`
    where the run has no validation, which is logged. With `or_pretrained`, None means what comes
    with the package where there is no run at all, which is logged too.

    Raises:
        InputError: There is no such checkpoint.
    """
    if which is None and or_pretrained and not _configs(root):
        log.info(f"there is no run in {root}: taking the weights that come with the package")
        which = "pretrained"
    if which == "pretrained":
        return PRETRAINED
    if which in (None, "best", "last"):
        run = newest(root)
    elif (run := Run(Path(which))).config.is_file():
        which = None
    else:
        return Path(which)
    wanted = run.last if which == "last" else run.best
    if wanted.is_file():
        return wanted
    if not run.last.is_file():
        older = sorted(root.glob("*/version_*/checkpoints/last.ckpt"), key=_time)
        another = str(older[-1]) if older else "pretrained"
        raise InputError(
            run.folder,
            "has no checkpoint yet",
            ("wait for its first epoch, resume it, or take", Argument("checkpoint", another)),
        )
    if which == "best":
        raise InputError(
            run.folder,
            "has no best checkpoint (no validation)",
            ("use", Argument("checkpoint", "last")),
        )
    log.info(f"{run} has no best checkpoint (no validation): taking its last")
    return run.last


def copy_best(source: Path, epoch: int, run: Run) -> None:
    """Copy the best checkpoint beside `source` into a new run, unless it is of a later epoch."""
    best = source.parent / "best.ckpt"
    if best.is_file() and checkpoints.read(best).epoch <= epoch:
        with best.open("rb") as old, atomic_write(run.best) as new:
            shutil.copyfileobj(old, new)
