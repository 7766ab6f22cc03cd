"""The notebook's network in Keras's own files, read and written by h5py alone.

Nothing in a file is run: of its description only JSON is read, of its weights only plain arrays.

Three layouts exist (source: Keras 2.15 and 3.15, `saving_lib.py` and `legacy_h5_format.py`):

- `.h5` of a whole model, Keras 2 and 3: the attribute `model_config`, and in `model_weights` a
  group for each layer whose attribute `weight_names` leads to its arrays. Keras 2 writes weights
  alone the same way, at the root and without `model_config`.
- `.weights.h5` of Keras 3: `layers/<class>_<n>/vars/<i>`, numbered within a class.
- `.keras`: a zip of `config.json`, `metadata.json` and such a `model.weights.h5`.

Convolution kernels are (H, W, I, O) in Keras and (O, I, H, W) in PyTorch, dense ones (I, O) and
(O, I). The first dense layer follows a 1×1 map, so flattening orders channels alike in both.
"""

import io
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.formats.keras.layers import ADAM, COMPILED, LAYERS, check, describe, difference
from mnist_lit.network.network import Network

# Files of this network are about 1 MB with their optimiser's state.
MAX_BYTES = 100_000_000
# The layers that hold weights, in Keras's names and PyTorch's.
WEIGHTED = {
    "conv2d": "conv1",
    "conv2d_1": "conv2",
    "conv2d_2": "conv3",
    "dense": "dense1",
    "dense_1": "dense2",
}

Array = NDArray[np.float32]


class Content(NamedTuple):
    """What a Keras file holds of the notebook's network."""

    weights: dict[str, Tensor]  # by the names in `Network`
    dropout: float


def read(path: str | Path) -> Content:
    """Return the weights in a `.h5`, `.weights.h5` or `.keras` file of Keras 2 or 3.

    Weights are float32, laid out for `Network`. Any names of layers and any number of classes do.

    Raises:
        InputError: The file is damaged, or is of another network; the message names the layer.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise InputError(f"{path} {what}: give the path of a .h5 or .keras file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes: that is another network")
        config, arrays = _read(path.read_bytes())
        # Weights alone do not say their dropout.
        dropout = 0.2 if config is None else check(config)
        return Content(_convert(arrays), dropout)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    except OSError as error:
        if error.errno:
            raise
        raise InputError(f"{path} is not a whole HDF5 file: save the model again") from error
    except Exception as error:  # what a broken file makes a reader raise is not limited
        raise InputError(f"{path} is not a whole Keras file: save the model again") from error


def _read(content: bytes) -> tuple[Any, list[tuple[str, list[Array]]]]:
    """Return a file's description, if it has one, and each layer's arrays, in order."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {}
            for name in ("config.json", "model.weights.h5"):
                if name not in archive.namelist():
                    raise InputError(f"it has no {name} inside: save the model as one .keras file")
                if archive.getinfo(name).file_size > MAX_BYTES:
                    raise InputError(f"its {name} is too large: that is another network")
                parts[name] = archive.read(name)  # compares the check sum
        with h5py.File(io.BytesIO(parts["model.weights.h5"]), "r") as file:
            return json.loads(parts["config.json"]), _numbered(file)
    if not content.startswith(b"\x89HDF\r\n\x1a\n"):
        raise InputError("it is neither an HDF5 file (.h5) nor a .keras archive: save it as one")
    with h5py.File(io.BytesIO(content), "r") as file:
        if "model_config" in file.attrs:
            return json.loads(_text(file.attrs["model_config"])), _named(
                _group(file, "model_weights")
            )
        return None, _named(file) if "layer_names" in file.attrs else _numbered(file)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _child(group: h5py.Group, name: str) -> Any:
    # A link could lead into another file, or round in a circle.
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise InputError(f"{group.name} has no plain entry {name}: save the model again")
    return group[name]


def _group(group: h5py.Group, path: str) -> h5py.Group:
    for part in path.split("/"):
        group = _child(group, part)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{part} is no group: save the model again")
    return group


def _array(group: h5py.Group, path: str) -> Array:
    *folders, name = path.split("/")
    data = _child(_group(group, "/".join(folders)) if folders else group, name)
    plain = isinstance(data, h5py.Dataset) and not data.external and not data.is_virtual
    # Looked at before it is read: a small file can declare a huge array.
    if not (plain and data.dtype.kind == "f" and math.prod(data.shape) * 8 <= MAX_BYTES):
        raise InputError(f"{path} is no array of weights: that is another network")
    return np.asarray(data[()], np.float32)


def _named(root: h5py.Group) -> list[tuple[str, list[Array]]]:
    """Return the layers' arrays where attributes name them, in the model's order."""
    found = []
    for layer in _attribute(root, "layer_names"):
        group = _group(root, layer)
        arrays = [_array(group, name) for name in _attribute(group, "weight_names")]
        if arrays:
            found.append((layer, arrays))
    return found


def _attribute(group: h5py.Group, name: str) -> list[str]:
    if name not in group.attrs:
        raise InputError(f"{group.name} does not say its {name}: save the model again")
    return [_text(value) for value in group.attrs[name]]


def _numbered(file: h5py.File) -> list[tuple[str, list[Array]]]:
    """Return the layers' arrays where classes and numbers name them."""
    # The second name is that of Keras 2.13.
    root = next((n for n in ("layers", "_layer_checkpoint_dependencies") if n in file), None)
    if root is None:
        raise InputError("it holds no layers: save the model, or its weights, by Keras")
    layers = _group(file, root)
    found = []
    for kind in ("conv2d", "dense"):
        names = [name for name in layers if re.fullmatch(rf"{kind}(_\d+)?", name)]
        for name in sorted(names, key=lambda name: int(name[len(kind) + 1 :] or 0)):
            values = _group(layers, f"{name}/vars")
            arrays = [_array(values, str(i)) for i in range(len(values))]
            if arrays:
                found.append((name, arrays))
    return found


def _convert(arrays: list[tuple[str, list[Array]]]) -> dict[str, Tensor]:
    """Return PyTorch's weights of Keras's arrays."""
    shapes = {
        "conv1": (4, 4, 1, 32),
        "conv2": (4, 4, 32, 64),
        "conv3": (4, 4, 64, 64),
        "dense1": (64, 64),
        "dense2": (64, None),
    }
    if len(arrays) != len(shapes):
        raise InputError(f"it has {len(arrays)} layers with weights, expected {len(shapes)}")
    weights = {}
    for (layer, values), (name, shape) in zip(arrays, shapes.items(), strict=True):
        if len(values) != 2:
            raise InputError(f"{layer}: {len(values)} arrays, expected 2, kernel and bias")
        kernel, bias = values
        its = list(kernel.shape)
        wanted = [
            i if w is None and n == 1 else w
            for n, (w, i) in enumerate(zip(shape, its, strict=False))
        ]
        if its != wanted or len(its) != len(shape):
            raise difference(layer, "kernel", its, [n or "classes" for n in shape])
        if list(bias.shape) != its[-1:]:
            raise difference(layer, "bias", list(bias.shape), its[-1:])
        order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        weights[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel.transpose(order)))
        weights[f"{name}.bias"] = torch.from_numpy(bias)
    return weights


def write(path: Path, network: Network) -> None:
    """Write a `.h5` or `.keras` file that `keras.models.load_model` of Keras 3 takes.

    The model is compiled as the notebook compiles it, so that it evaluates and trains on. It takes
    float images N×28×28×1 in [0, 1] and returns probabilities N×classes.

    Args:
        path: The file; its suffix says which layout.
        network: The notebook's network, in float32.
    """
    weights = network.state_dict()
    arrays = {}
    for name, its in WEIGHTED.items():
        kernel = weights[f"{its}.weight"].numpy()
        order = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
        arrays[name] = [kernel.transpose(order), weights[f"{its}.bias"].numpy()]
    dropout = float(network.dropout.p)  # type: ignore[arg-type, union-attr]
    model = describe(classes=len(weights["dense2.bias"]), dropout=dropout)
    content = io.BytesIO()
    if path.suffix == ".h5":
        with h5py.File(content, "w") as file:
            file.attrs["model_config"] = json.dumps(model)
            file.attrs["training_config"] = json.dumps(COMPILED | {"optimizer_config": ADAM})
            root = file.create_group("model_weights")
            root.attrs["layer_names"] = [name.encode() for _, name, _ in LAYERS]
            for _, name, _ in LAYERS:
                group = root.create_group(name)
                paths = [f"{name}/kernel", f"{name}/bias"] if name in arrays else []
                group.attrs["weight_names"] = np.array([path.encode() for path in paths], "S")
                for where, array in zip(paths, arrays.get(name, ()), strict=True):
                    group[where] = array
    else:
        with h5py.File(inner := io.BytesIO(), "w") as file:
            # A fresh optimiser: steps, learning rate, then two moments of each weight.
            state: list[Any] = [np.int32(0), np.float32(ADAM["config"]["learning_rate"])]
            for name, values in arrays.items():
                for i, array in enumerate(values):
                    file[f"layers/{name}/vars/{i}"] = array
                    state += [np.zeros_like(array)] * 2
            for i, value in enumerate(state):
                file[f"optimizer/vars/{i}"] = value
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            compiled = COMPILED | {"optimizer": ADAM}
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
            archive.writestr("config.json", json.dumps(model | {"compile_config": compiled}))
            archive.writestr("model.weights.h5", inner.getvalue())
    with atomic_write(path) as target:
        target.write(content.getbuffer())
