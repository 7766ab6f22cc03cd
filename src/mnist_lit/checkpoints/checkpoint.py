"""Checkpoints: read without running anything in them, written whole or not at all.

This file does without Lightning, which takes seconds to import.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mnist_lit.checkpoints import safetensors
from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.network.network import NETWORKS
from mnist_lit.pictures.preprocessing import PREPROCESSING


def file(path: str | Path) -> Path:
    """Return the file that `path` means; `pretrained` means the weights in the package."""
    return safetensors.PRETRAINED if str(path) == "pretrained" else Path(path)


def read(path: str | Path) -> dict[str, Any]:
    """Return the dictionary in a checkpoint or an exported safetensors file, tensors on the CPU.

    `pretrained` means the weights that come with the package.

    Only plain values and tensors are read (`weights_only`), and the archive's check sums are
    compared, which `torch.load` does not do.

    Raises:
        InputError: `path` is no local file, is damaged, or holds anything else.
    """
    if re.match(r"\w\w+:/", str(path)):
        raise InputError(f"{path} is an address: download it and give the file's path")
    path = file(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the path of a checkpoint (.ckpt) in it")
    if not path.is_file():
        raise InputError(f"{path} is not there: give the path of a checkpoint (.ckpt)")
    if path.suffix in (".h5", ".keras"):
        raise InputError(
            f"{path} is a Keras file: make a checkpoint of it by "
            f"`python -m mnist_lit import-keras {path} --output {path.stem}.ckpt`"
        )
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
    remedy = "take another one of the run, or train again"
    if path.suffix != ".ckpt":
        remedy = "give a .ckpt or .safetensors file"
    damaged = f"{path} is not a whole checkpoint: {remedy}"
    try:
        with zipfile.ZipFile(path) as archive:
            # PyTorch stores its members as they are; one that would grow is no work of its.
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise InputError(damaged)
            if archive.testzip() is not None:
                raise InputError(damaged)
        return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what a broken archive or pickle raises is not limited
        raise InputError(damaged) from error


def write(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    # By way of memory: where writing to a file fails, or a signal breaks in on it, PyTorch raises
    # an error of its own, which names neither file nor reason.
    content = io.BytesIO()
    torch.save(dict(checkpoint), content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def load_network(path: str | Path) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the network in a checkpoint, ready to evaluate, and its hyper-parameters.

    Raises:
        InputError: The file is no whole checkpoint, or is one of another network.
    """
    checkpoint = read(path)
    values, prefix = checkpoint["hyper_parameters"], "network."
    try:
        network = NETWORKS[values["network"]](values["num_classes"], dropout=values["dropout"])
        state = checkpoint["state_dict"].items()
        network.load_state_dict({name.removeprefix(prefix): value for name, value in state})
        if [type(name) for name in values["class_names"]] != [str] * values["num_classes"]:
            raise ValueError(f"{values['num_classes']} classes are named {values['class_names']}")
        if values["preprocessing"] not in PREPROCESSING:
            raise ValueError(f"there is no preprocessing {values['preprocessing']!r}")
    except Exception as error:  # what a stranger's values raise is not limited
        raise another_network(path, error) from error
    return network.eval(), values


def another_network(path: str | Path, error: Exception) -> InputError:
    """Return what is said of a checkpoint whose content no network of this package takes."""
    # The first lines of what PyTorch lists name what differs first.
    what = " ".join(str(error).split())[:200]
    return InputError(f"{path} is a checkpoint of another network: {what}")
