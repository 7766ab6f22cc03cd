"""A network as a file that real Keras loads, evaluates and trains on."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.formats.keras.builder import Array
from mnist_lit.formats.keras.chain import snake_case
from mnist_lit.formats.keras.codecs import WRITERS, activations
from mnist_lit.formats.keras.codecs.codec import Outgoing, Unwritable, Written
from mnist_lit.network import layers as kinds
from mnist_lit.network.network import Layer, Network

# The Keras classes that hold weights in what is written.
WITH_WEIGHTS = ("Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "PReLU")
# A version from which on everything that is written means the same.
VERSION = "3.0.0"
# The notebook's compile().
COMPILED: dict[str, Any] = {
    "loss": "sparse_categorical_crossentropy",
    "loss_weights": None,
    # Named in full: Keras 2 would take "accuracy" for another metric.
    "metrics": [
        {
            "module": "keras.metrics",
            "class_name": "SparseCategoricalAccuracy",
            "config": {"name": "accuracy", "dtype": "float32"},
            "registered_name": None,
        }
    ],
    "weighted_metrics": None,
}
ADAM: dict[str, Any] = {
    "module": "keras.optimizers",
    "class_name": "Adam",
    "config": {"name": "adam", "learning_rate": 0.001},
    "registered_name": None,
}


class Item(NamedTuple):
    """A Keras layer with its name."""

    kind: str
    name: str
    config: dict[str, Any]
    arrays: dict[str, Array]


def convert(layers: Sequence[Layer], weights: Mapping[str, Array] | None = None) -> list[Item]:
    """Return a network's layers as Keras's, with their arrays where `weights` are given.

    An activation is written into the convolution or dense layer before it, where Keras has a name
    for it, and a last softmax likewise.

    Raises:
        InputError: Keras can't express some layers; the message names each and why.
    """
    found: list[Written] = []
    refused: list[str] = []
    flattened: tuple[int, ...] = ()
    for layer in layers:
        try:
            found += _write(layer, weights or {}, flattened, found)
        except Unwritable as error:
            refused.append(f"{layer.name} ({layer.kind}) {error}")
        if layer.kind == "Flatten":
            flattened = layer.input_shape
        elif layer.kind in ("Linear", "Conv2d"):
            flattened = ()
    if refused:
        raise InputError(
            "the network",
            f"can't be expressed by Keras: {'; '.join(refused)}",
            "use another format",
        )
    return _named(found)


def _write(
    layer: Layer, weights: Mapping[str, Array], flattened: tuple[int, ...], before: list[Written]
) -> list[Written]:
    name = activations.written(layer.kind, layer.arguments)
    if name and before and before[-1].config.get("activation") == "linear":
        before[-1].config["activation"] = name
        return []
    if layer.kind not in WRITERS:
        raise Unwritable("is not known to Keras")
    with torch.device("meta"):
        module = (
            torch.nn.LogSoftmax(1)
            if layer.kind == "LogSoftmax"
            else kinds.build(layer.kind, layer.arguments, layer.input_shape, layer.shape[0])
        )
    start = f"{layer.name}."
    its = {
        key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)
    }
    return WRITERS[layer.kind](Outgoing(layer, module, its, flattened))


def _named(layers: list[Written]) -> list[Item]:
    counts = Counter[str]()
    found = []
    for layer in layers:
        stem = snake_case(layer.kind)
        name = f"{stem}_{counts[stem]}" if counts[stem] else stem
        counts[stem] += 1
        found.append(Item(layer.kind, name, layer.config, layer.arrays))
    return found


def check(network: Network) -> None:
    """Raise InputError where Keras can't express some layers; the message names each and why."""
    convert(network.layers)


def write(path: Path, network: Network) -> None:
    """Write a `.h5` or `.keras` file that `keras.models.load_model` takes.

    The model is compiled as the notebook compiles it, so that it evaluates and trains on. It takes
    float images N×S×S×1 in [0, 1] and returns probabilities N×classes. Keras 2.12 and newer open
    `.h5`, Keras 3 both.

    Args:
        path: The file; its suffix says which layout.
        network: The network, in float32.

    Raises:
        InputError: Keras can't express some layers; the message names each and why.
    """
    weights = {name: value.numpy(force=True) for name, value in network.state_dict().items()}
    items = convert(network.layers, weights)
    if path.suffix == ".h5":
        content = _h5(items, network.image_size)
    else:
        content = _archive(items, network.image_size)
    with atomic_write(path) as target:
        target.write(content.getbuffer())


def _describe(items: list[Item], side: int) -> dict[str, Any]:
    """Return the network as Keras 3 describes it, beginning with its input layer."""
    # Keras 2 knows this name of the shape alone; Keras 3 takes both.
    config = {"batch_input_shape": [None, side, side, 1], "dtype": "float32"}
    every = [("InputLayer", "input_layer", config), *(item[:3] for item in items)]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": kind,
                    "config": {"name": name} | config,
                    "registered_name": None,
                }
                for kind, name, config in every
            ],
        },
        "registered_name": None,
    }


def _h5(items: list[Item], side: int) -> io.BytesIO:
    items = [item._replace(config=_as_keras_2(item)) for item in items]
    with h5py.File(content := io.BytesIO(), "w") as file:
        file.attrs["keras_version"] = VERSION
        file.attrs["model_config"] = json.dumps(_describe(items, side))
        file.attrs["training_config"] = json.dumps(COMPILED | {"optimizer_config": ADAM})
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [item.name.encode() for item in items]
        for item in items:
            group = root.create_group(item.name)
            paths = [f"{item.name}/{name}" for name in item.arrays]
            group.attrs["weight_names"] = np.array([path.encode() for path in paths], "S")
            for path, array in zip(paths, item.arrays.values(), strict=True):
                group[path] = array
    return content


def _as_keras_2(item: Item) -> dict[str, Any]:
    """Return a layer's configuration in words that Keras 2 knows too; Keras 3 translates them."""
    if item.kind == "LeakyReLU":
        return {"alpha": item.config["negative_slope"]}
    return item.config


def _archive(items: list[Item], side: int) -> io.BytesIO:
    with h5py.File(inner := io.BytesIO(), "w") as file:
        # Keras before 3.6 looks for the group of everything, with weights or without.
        file.create_group("vars")
        # A fresh optimiser: steps, learning rate, then two moments of each weight.
        state: list[Any] = [np.int32(0), np.float32(ADAM["config"]["learning_rate"])]
        for item in items:
            group = file.create_group(f"layers/{item.name}/vars")
            for i, (name, array) in enumerate(item.arrays.items()):
                group[str(i)] = array
                if not name.startswith("moving_"):
                    state += [np.zeros_like(array)] * 2
        for i, value in enumerate(state):
            file[f"optimizer/vars/{i}"] = value
    model = _describe(items, side)
    compiled = COMPILED | {"optimizer": ADAM}
    with zipfile.ZipFile(content := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": VERSION}))
        archive.writestr("config.json", json.dumps(model | {"compile_config": compiled}))
        archive.writestr("model.weights.h5", inner.getvalue())
    return content
