"""Keras's activations and torch's, both ways."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mnist_lit.formats.keras.chain import KerasLayer, shown
from mnist_lit.formats.keras.options import Options


class Activation(NamedTuple):
    kind: str  # a layer of torch.nn, or "Softmax"
    arguments: Mapping[str, Any]


# What Keras calls by name. Keras 2's hard_sigmoid is another function than Keras 3's.
NAMED: dict[str, Activation | None] = {
    "linear": None,
    "relu": Activation("ReLU", {}),
    "relu6": Activation("ReLU6", {}),
    "leaky_relu": Activation("LeakyReLU", {"negative_slope": 0.2}),
    "elu": Activation("ELU", {}),
    "selu": Activation("SELU", {}),
    "gelu": Activation("GELU", {}),
    "silu": Activation("SiLU", {}),
    "swish": Activation("SiLU", {}),
    "tanh": Activation("Tanh", {}),
    "sigmoid": Activation("Sigmoid", {}),
    "hard_sigmoid": Activation("Hardsigmoid", {}),
    "softplus": Activation("Softplus", {}),
    "softsign": Activation("Softsign", {}),
    "softmax": Activation("Softmax", {}),
    "log_softmax": Activation("Softmax", {}),  # the network gives logarithms in any case
}
# The names that every version of Keras knows, by torch's.
WRITTEN = {
    "ReLU": "relu",
    "ELU": "elu",
    "SELU": "selu",
    "GELU": "gelu",
    "SiLU": "swish",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Hardsigmoid": "hard_sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
}


def take(options: Options, version: str) -> Activation | None:
    """Return what a layer's `activation` is, None if it is linear."""
    return _read(options, options.take("activation", "linear"), version)


def written(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the name of torch's activation in every Keras, or None if it has none."""
    if kind == "ELU" and arguments.get("alpha", 1) != 1:
        return None
    return WRITTEN.get(kind)


def _read(options: Options, value: Any, version: str) -> Activation | None:
    name = value
    if isinstance(value, Mapping):
        kind, config = value.get("class_name"), value.get("config")
        if kind in ("function", "Function"):
            name = config
        elif kind in LAYERS and isinstance(config, Mapping):
            return _inner(options, str(kind), config, version)
        else:
            name = kind
    if not isinstance(name, str) or name not in NAMED:
        options.refuse(f"has activation {shown(name)}, which is not among those that come over")
        return None
    if name == "hard_sigmoid" and not version.startswith("3"):
        written = f"Keras {shown(version)}" if version else "an unknown version of Keras"
        options.refuse(f"has hard_sigmoid of {written}, another function than that of Keras 3")
    return NAMED[name]


def _inner(
    options: Options, kind: str, config: Mapping[str, Any], version: str
) -> Activation | None:
    """Return the activation that a layer inside a layer is."""
    inner = Options(KerasLayer(kind, options.layer.name, config, options.layer.place))
    found = LAYERS[kind](inner, version)
    inner.finish()
    options.refused += [f"has an activation {kind} that {why}" for why in inner.refused]
    return found


def _activation(options: Options, version: str) -> Activation | None:
    return take(options, version)


def _relu(options: Options, version: str) -> Activation | None:
    most = options.optional_number("max_value")
    for key in ("negative_slope", "threshold"):
        if options.number(key, 0.0) != 0:
            options.refuse(f"has a {key} other than 0")
    if most not in (None, 6):
        options.refuse(f"has max_value {most:g}, not none or 6")
    return NAMED["relu" if most is None else "relu6"]


def _leaky_relu(options: Options, version: str) -> Activation:
    slope = options.number("negative_slope", 0.3)
    return Activation("LeakyReLU", {"negative_slope": options.number("alpha", slope)})


def _elu(options: Options, version: str) -> Activation:
    alpha = options.number("alpha", 1.0)
    return Activation("ELU", {} if alpha == 1 else {"alpha": alpha})


def _softmax(options: Options, version: str) -> Activation:
    options.default("axis", -1, [-1])
    return Activation("Softmax", {})


# The classes of Keras that are activations without weights, with what reads each.
LAYERS: dict[str, Callable[[Options, str], Activation | None]] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "Softmax": _softmax,
}
