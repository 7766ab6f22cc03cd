"""The options that several commands share, and how an argument of Python is spelled as one.

This file imports nothing heavy: `predict` and `--help` start with it.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from mnist_lit.colours import STYLES
from mnist_lit.errors import Argument, InputError, NotACheckpoint

# Arguments by the group of options that they belong to.
GROUPS = {
    "data": (
        "dataset", "data_dir", "source", "preprocessing", "image_size", "value_range",
        "transposed", "strict", "val_split", "batch_size", "rotation", "shift", "scale",
        "elastic", "thickness", "flip",
    ),
    "model": (
        "network", "dropout", "lr", "schedule", "warmup", "betas", "eps", "smoothing", "teacher",
        "large",
    ),
    "trainer": (
        "max_epochs", "max_steps", "default_root_dir", "strategy", "precision", "num_nodes",
        "devices", "accelerator", "accumulate_grad_batches", "fast_dev_run",
        "limit_train_batches", "limit_val_batches", "limit_test_batches",
    ),
}  # fmt: skip
GROUPED = {name: f"--{group}.{name}" for group, names in GROUPS.items() for name in names}
OPTIONS = GROUPED | {"checkpoint": "--ckpt_path", "formats": "--format"}


def spell(argument: Argument) -> str:
    """Return an argument as the command line writes it: `lr=0` is `--model.lr 0`."""
    option = OPTIONS.get(argument.name, f"--{argument.name}")
    value = argument.value
    if value is None:
        return option
    if isinstance(value, list | tuple) and argument.name in GROUPED:
        value = str(list(value))  # such an option is YAML
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([option, *(shlex.quote(_word(each)) for each in values)])


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def checkpoint_help(*, or_pretrained: bool = False) -> str:
    """Return the help of `--ckpt_path`, which `runs.finding.find_checkpoint` reads."""
    where = " (the default where there is no run)" if or_pretrained else ""
    return f"`best` (default) or `last` of the newest run, `pretrained`{where}, or a path"


def add_checkpoint(parser: argparse.ArgumentParser, *, or_pretrained: bool = False) -> None:
    """Add `--ckpt_path`."""
    parser.add_argument(
        "--ckpt_path",
        type=str,
        metavar="CHECKPOINT",
        help=checkpoint_help(or_pretrained=or_pretrained),
    )


def named_if_keras(error: NotACheckpoint) -> InputError:
    """Return the error that names `import-keras`, if the file is a model that it takes."""
    from mnist_lit.formats.keras import model

    path = Path(str(error.subject))
    try:
        model.read(path)
    except InputError:
        return error
    command = shlex.join(
        ["python", "-m", "mnist_lit", "import-keras", str(path), "--output", f"{path.stem}.ckpt"]
    )
    return InputError(path, "is a Keras model", f"make a checkpoint of it by `{command}`")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add `--runs`, the folder in which a command looks for a run."""
    parser.add_argument(
        "--runs", type=str, default="runs", metavar="DIR", help="the folder of all runs"
    )


def add_style(parser: argparse.ArgumentParser) -> None:
    """Add `--style`, the colours of figures."""
    parser.add_argument(
        "--style", choices=list(STYLES), default="light", help="the colours of the figures"
    )


@overload
def output_file(value: str, suffixes: Sequence[str], option: str = ...) -> Path: ...
@overload
def output_file(value: str | None, suffixes: Sequence[str], option: str = ...) -> Path | None: ...
def output_file(value: str | None, suffixes: Sequence[str], option: str = "output") -> Path | None:
    """Return the path of a file that a command is to write; None where none was named.

    Commands call it before they start to work, so that no work is lost.

    Args:
        value: What the user gave.
        suffixes: What the name may end in.
        option: The option's name.

    Raises:
        InputError: No file of that name can be written, or it would replace something else.
    """
    if value is None:
        return None
    path, given = Path(value), Argument(option, value)
    kinds = " or ".join(suffixes)
    if not value or path.is_dir():
        raise InputError(given, "is a folder", f"name a file that ends in {kinds}")
    if path.suffix not in suffixes:
        raise InputError(given, "has the wrong ending", f"it must be a file that ends in {kinds}")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        # The file is replaced as a whole, so a link or a device would be lost.
        raise InputError(given, "is not a plain file", "name a file of its own")
    _refuse_inside_file(path, given)
    return path


def output_folder(value: str) -> Path:
    """Return the path of a folder that a command is to write into.

    Raises:
        InputError: It is a file, or lies inside one.
    """
    path, given = Path(value), Argument("output", value)
    if path.exists() and not path.is_dir():
        raise InputError(given, "is a file", "name a folder")
    _refuse_inside_file(path, given)
    return path


def _refuse_inside_file(path: Path, given: Argument) -> None:
    for parent in path.parents:
        if parent.is_file():
            raise InputError(given, f"would lie inside the file {parent}", "name another folder")
