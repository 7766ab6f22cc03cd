"""Checkpoints: read without running anything in them, written whole or not at all.

This file does without Lightning, which takes seconds to import.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist_lit import class_names
from mnist_lit.checkpoints import safetensors
from mnist_lit.errors import Argument, InputError, NotACheckpoint
from mnist_lit.files import atomic_write
from mnist_lit.network.architecture import Architecture, current_name
from mnist_lit.network.network import MAX_PARAMETERS, Network
from mnist_lit.pictures.preprocessing import PREPROCESSING

# The weights that come with the package; `make weights` trains them again.
PRETRAINED = Path(__file__).parents[1] / "pretrained.safetensors"
# In a checkpoint's weights: the LightningModule's attribute.
PREFIX = "network."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says of itself.

    Args:
        path: The file.
        content: Everything in the file, as Lightning takes it.
        network: The network's description.
        class_names: A name for each class.
        dataset: The data set that it was trained on.
        preprocessing: How a picture becomes the network's input.
        image_size: Side of the input in pixels.
        epoch: The epoch that it was saved after, from 0.
    """

    path: Path
    content: dict[str, Any]
    network: Architecture
    class_names: list[str]
    dataset: str
    preprocessing: str
    image_size: int
    epoch: int

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """What `MNISTModule` takes, as plain values."""
        values: dict[str, Any] = self.content["hyper_parameters"]
        return values

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by the names that they have in `Network`."""
        state = self.content["state_dict"].items()
        return {name.removeprefix(PREFIX): value for name, value in state}

    @property
    def is_large(self) -> bool:
        """Whether the file holds so many weights that its network may be large.

        What an untrusted file says of itself could take all memory when the network is built.
        """
        stored = sum(value.untyped_storage().nbytes() for value in self.weights.values())
        return stored > MAX_PARAMETERS * 2  # bytes: half precision is the smallest

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run; empty where `fit` did not write the file."""
        return dict(self.content.get("config", {}))

    @property
    def fingerprint(self) -> str | None:
        """Of the data that it was trained on, where it is the user's own."""
        return self.content.get("fingerprint")

    @property
    def summary(self) -> dict[str, Any]:
        return dict(self.content.get("summary", {}))

    def build(self) -> Network:
        """Return the network with its weights, ready to evaluate on the CPU.

        Raises:
            InputError: The weights aren't those of the network.
        """
        try:
            network = Network(
                len(self.class_names),
                network=self.network,
                image_size=self.image_size,
                large=self.is_large,
            )
            network.load_state_dict(self.weights)
        except (RuntimeError, InputError) as error:
            raise does_not_fit(self.path, error) from error
        return network.eval()


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint or an exported safetensors file, tensors on the CPU.

    `pretrained` means the weights that come with the package. Only plain values and tensors are
    read (`weights_only`), and the archive's checksums are compared, which `torch.load` doesn't do.

    Raises:
        InputError: `path` isn't a local file, is damaged, or holds anything else.
    """
    if re.match(r"\w\w+:/", str(path)):
        raise InputError(path, "is an address", "download it and give the file's path")
    path = PRETRAINED if str(path) == "pretrained" else Path(path)
    if path.is_dir():
        raise InputError(path, "is a folder", "give the path of a checkpoint (.ckpt) in it")
    if not path.is_file():
        raise InputError(path, "is not there", "give the path of a checkpoint (.ckpt)")
    content = safetensors.read(path) if path.suffix == ".safetensors" else _read_archive(path)
    if not (
        isinstance(content, dict)
        and {"state_dict", "hyper_parameters", "epoch"} <= content.keys()
        and isinstance(content["epoch"], int)
        and isinstance(content["hyper_parameters"], dict)
        and {"dataset", "class_names"} <= content["hyper_parameters"].keys()
    ):
        raise InputError(path, "is not a checkpoint of mnist-lit", "give one that `fit` wrote")
    try:
        return _described(path, content)
    except Exception as error:  # malformed values can make this raise anything
        raise does_not_fit(path, error) from error


def _described(path: Path, content: dict[str, Any]) -> Checkpoint:
    values = content["hyper_parameters"]
    names, preprocessing = values["class_names"], values["preprocessing"]
    if len(names) != values["num_classes"]:
        raise ValueError(f"{values['num_classes']} classes are named {names}")
    if wrong := class_names.problem(names):
        raise ValueError(f"it {wrong}")
    if not all(isinstance(name, str) for name in content["state_dict"]):
        raise ValueError("its weights have no names")
    if preprocessing not in PREPROCESSING:
        raise ValueError(f"there is no preprocessing {preprocessing!r}")
    network = Architecture.of(values["network"], dropout=values.get("dropout"))
    size = int(values.get("image_size", 28))  # every image had 28 before sizes were recorded
    if isinstance(values["network"], str):
        for part in ("state_dict", "current_model_state"):  # the second: beside averaged weights
            if part in content:
                state = content[part].items()
                content[part] = {current_name(name): value for name, value in state}
    values = values | {"network": network.plain(), "image_size": size}
    values.pop("dropout", None)  # the network has it
    content["hyper_parameters"] = values
    return Checkpoint(
        path, content, network, list(names), values["dataset"], preprocessing, size,
        content["epoch"],
    )  # fmt: skip


def _read_archive(path: Path) -> Any:
    remedy = "take another one of the run, or train again"
    if path.suffix != ".ckpt":
        remedy = "give a .ckpt or .safetensors file"
    damaged = NotACheckpoint(path, "is not a whole checkpoint", remedy)
    try:
        with zipfile.ZipFile(path) as archive:
            # PyTorch stores its members uncompressed, so one that would grow isn't PyTorch's.
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise damaged
            if archive.testzip() is not None:
                raise damaged
        return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            path, f"cannot be read ({error.strerror or error})", "fix its permissions"
        ) from error
    except Exception as error:  # a malformed archive or pickle can raise anything
        raise damaged from error


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    # Through memory: when writing to a file fails, or a signal interrupts it, PyTorch raises an
    # error of its own, which names neither file nor reason.
    archive = io.BytesIO()
    torch.save(dict(content), archive)
    with atomic_write(path) as file:
        file.write(archive.getbuffer())


def does_not_fit(path: str | Path, error: Exception) -> InputError:
    """Return the error for a checkpoint whose values or weights make no network here."""
    # The first lines of what PyTorch lists name what differs first.
    what = " ".join(str(error).split())[:200]
    return InputError(
        path,
        f"doesn't fit this version of mnist-lit ({what})",
        ("give a checkpoint of this version as", Argument("checkpoint")),
    )
