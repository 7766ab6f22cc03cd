"""The notebook's network as Keras describes it: a list of layers, compared and written."""

from collections.abc import Iterator, Mapping
from typing import Any

from mnist_lit.errors import InputError

INPUT = [28, 28, 1]
CONV: dict[str, Any] = {
    "kernel_size": [4, 4],
    "strides": [1, 1],
    "padding": "valid",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
    "activation": "relu",
    "use_bias": True,
}
POOL: dict[str, Any] = {
    "pool_size": [2, 2],
    "strides": [2, 2],
    "padding": "valid",
    "data_format": "channels_last",
}
# The notebook's layers: class, name, what its configuration says. None is whatever the file says.
LAYERS: list[tuple[str, str, dict[str, Any]]] = [
    ("Conv2D", "conv2d", {"filters": 32, **CONV}),
    ("MaxPooling2D", "max_pooling2d", POOL),
    ("Conv2D", "conv2d_1", {"filters": 64, **CONV}),
    ("MaxPooling2D", "max_pooling2d_1", POOL),
    ("Conv2D", "conv2d_2", {"filters": 64, **CONV}),
    ("Dropout", "dropout", {"rate": None}),
    ("Flatten", "flatten", {"data_format": "channels_last"}),
    ("Dense", "dense", {"units": 64, "activation": "sigmoid", "use_bias": True}),
    ("Dense", "dense_1", {"units": None, "activation": "softmax", "use_bias": True}),
]
# The notebook's compile().
COMPILED = {
    "loss": "sparse_categorical_crossentropy",
    "loss_weights": None,
    "metrics": ["accuracy"],
    "weighted_metrics": None,
}
ADAM: dict[str, Any] = {
    "module": "keras.optimizers",
    "class_name": "Adam",
    "config": {"name": "adam", "learning_rate": 0.001},
    "registered_name": None,
}
WORDS = {"kernel_size": "kernel", "pool_size": "pool", "dilation_rate": "dilation"}


def _layers(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield class and configuration of each layer of a plain stack of layers."""
    kind, config = config["class_name"], config["config"]
    if kind not in ("Sequential", "Functional", "Model"):
        raise InputError(f"it holds a model of class {kind}: only a stack of layers is known")
    # Early Keras 2 gives a Sequential's layers as a bare list.
    layers = config if isinstance(config, list) else config["layers"]
    before = None
    for layer in layers:
        inputs = set(_names(layer.get("inbound_nodes", [])))
        if kind != "Sequential" and inputs != ({before} if before else set()):
            raise InputError(f"{layer['config']['name']}: the layers are no plain stack")
        before = layer["config"]["name"]
        yield layer["class_name"], layer["config"]


def _names(nodes: Any) -> Iterator[str]:
    """Yield the names of the layers in a layer's `inbound_nodes`, of Keras 2 or 3."""
    if isinstance(nodes, Mapping):
        if "keras_history" in nodes:
            yield nodes["keras_history"][0]
        else:
            nodes = list(nodes.values())
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str):
            yield nodes[0]
        else:
            for node in nodes:
                yield from _names(node)


def check(model: Any) -> float:
    """Compare a file's description with the notebook's network; return its dropout.

    Names of layers and the number of classes are free, and a dropout layer may be missing.

    Raises:
        InputError: One differs; the message names it.
    """
    expected = iter(LAYERS)
    dropout = 0.0
    for kind, config in _layers(model):
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        name = str(config["name"])
        if shape and list(shape[1:]) != INPUT:
            raise difference(name, "input", list(shape[1:]), INPUT)
        if kind == "InputLayer":
            continue
        its_kind, _, options = next(expected, ("no layer", "", {}))
        if its_kind == "Dropout" and kind != "Dropout":
            its_kind, _, options = next(expected)  # it changes no answer
        if kind != its_kind:
            raise difference(name, "layer", kind, its_kind)
        for option, value in options.items():
            its = config.get(option, value)
            its = its.get("config") if isinstance(its, dict) else its
            its = [its, its] if isinstance(value, list) and isinstance(its, int) else its
            # A pool without strides takes its size for them.
            if value is not None and its is not None and its != value:
                raise difference(name, WORDS.get(option, option), its, value)
        if kind == "Dropout":
            dropout = float(config["rate"])
    missing = next(expected, None)
    if missing:
        raise InputError(f"after {name} there is no {missing[0]}: that is another network")
    return dropout


def difference(layer: str, what: str, found: Any, expected: Any) -> InputError:
    found, expected = (
        "×".join(map(str, value)) if isinstance(value, list) else value
        for value in (found, expected)
    )
    return InputError(f"{layer}: {what} {found}, expected {expected}")


def describe(*, classes: int, dropout: float) -> dict[str, Any]:
    """Return the network as Keras 3 describes it."""
    values: dict[str, dict[str, Any]] = {
        "dropout": {"rate": dropout},
        "dense_1": {"units": classes},
    }
    layers: list[tuple[str, str, dict[str, Any]]] = [
        ("InputLayer", "input_layer", {"batch_shape": [None, *INPUT], "dtype": "float32"})
    ]
    layers += [(kind, name, config | values.get(name, {})) for kind, name, config in LAYERS]
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
                for kind, name, config in layers
            ],
        },
        "registered_name": None,
    }
