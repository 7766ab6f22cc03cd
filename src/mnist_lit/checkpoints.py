"""Checkpoints: read without running anything in them, written whole or not at all."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mnist_lit.errors import InputError
from mnist_lit.export import safetensors
from mnist_lit.files import atomic_write
from mnist_lit.module import MNISTModule


def read(path: str | Path) -> dict[str, Any]:
    """Return the dictionary in a checkpoint or an exported safetensors file, tensors on the CPU.

    Only plain values and tensors are read (`weights_only`), and the archive's check sums are
    compared, which `torch.load` does not do.

    Raises:
        InputError: `path` is no local file, is damaged, or holds anything else.
    """
    if re.match(r"\w\w+:/", str(path)):
        raise InputError(f"{path} is an address: download it and give the file's path")
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the path of a checkpoint (.ckpt) in it")
    if not path.is_file():
        raise InputError(f"{path} is not there: give the path of a checkpoint (.ckpt)")
    checkpoint = safetensors.read(path) if path.suffix == ".safetensors" else _read_archive(path)
    if not (
        isinstance(checkpoint, dict)
        and {"state_dict", "hyper_parameters", "epoch"} <= checkpoint.keys()
        and isinstance(checkpoint["epoch"], int)
        and isinstance(checkpoint["hyper_parameters"], dict)
        and {"dataset", "class_names"} <= checkpoint["hyper_parameters"].keys()
    ):
        raise InputError(f"{path} is not a checkpoint of mnist-lit: give one that `fit` wrote")
    return checkpoint


def _read_archive(path: Path) -> Any:
    damaged = f"{path} is not a whole checkpoint: take another one of the run, or train again"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise InputError(damaged)
        return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what a broken archive or pickle raises is not limited
        raise InputError(damaged) from error


def load_checkpoint(path: str | Path) -> MNISTModule:
    """Return the module that `path` describes, with its weights, ready to evaluate on the CPU.

    Raises:
        InputError: The file is no whole checkpoint, or is one of another network.
    """
    checkpoint = read(path)
    try:
        module = MNISTModule(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"])
    except Exception as error:  # what a stranger's values raise is not limited
        # The first lines of what PyTorch lists name what differs first.
        what = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is a checkpoint of another network: {what}") from error
    return module.eval()


class SafeCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, by the functions of this file.

    Lightning itself makes its temporary file in $TMPDIR, reads without check sums, and is silent
    where the folder cannot be written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        # By way of memory: where writing to a file fails, or a signal breaks in on it, PyTorch
        # raises an error of its own, which names neither file nor reason.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_write(Path(path)) as file:
            file.write(content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read(path)
