"""Activations, inside other layers and as layers of their own."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from mnist_lit.formats.keras.builder import Arrays, Builder, Map, Pixels
from mnist_lit.formats.keras.chain import KerasLayer, shown
from mnist_lit.formats.keras.codecs.codec import (
    Outgoing,
    Reader,
    Unwritable,
    Written,
    channel_order,
    keras_order,
    read_array,
)
from mnist_lit.formats.keras.options import Misfit, Options


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
    "LogSoftmax": "softmax",  # a Keras model gives probabilities
}


def take(options: Options, version: str) -> Activation | None:
    """Return what a layer's `activation` is, None if it is linear."""
    return _read(options, options.take("activation", "linear"), version)


def written(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the name of torch's activation in every Keras, or None if it has none."""
    if arguments.get("alpha", 1) != 1 or arguments.get("approximate", "none") != "none":
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
        writer = f"Keras {shown(version)}" if version else "an unknown version of Keras"
        options.refuse(f"has hard_sigmoid of {writer}, another function than that of Keras 3")
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


def activate(options: Options, to: Builder, found: Activation | None) -> None:
    if found is None:
        return
    if found.kind != "Softmax":
        to.values()
        to.add(found.kind, found.arguments)
        to.activation = (options, _spoken(found.kind, options))
        return
    values = to.channels()
    if isinstance(values, Pixels) or (isinstance(values, Map) and not _is_point(values)):
        raise to.misfit(f"is a softmax of a map {shown(to.shape)}, not of one number a class")
    if to.softmax:
        options.refuse("is a softmax after a softmax")
    to.softmax, to.activation = options, None


def _is_point(values: Map) -> bool:
    return values.last and (values.height, values.width) == (1, 1)


def _spoken(kind: str, options: Options) -> str:
    activation = options.layer.config.get("activation")
    return activation if isinstance(activation, str) else kind


def activation_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        found = LAYERS[kind](options, to.version)
        options.finish()
        activate(options, to, found)

    return read


def read_prelu(options: Options, to: Builder) -> None:
    shared = options.take("shared_axes", [])
    options.finish()
    shared = shared if isinstance(shared, list) else [shared]
    values = to.channels()
    shape = tuple(1 if i in shared else side for i, side in enumerate(to.shape, 1))
    count = math.prod(shape)
    if isinstance(values, Pixels) or (
        isinstance(values, Map) and count not in (1, shape[2 if values.last else 0])
    ):
        options.refuse("has a weight per pixel: give it shared_axes of height and width")
        raise Misfit
    arrays = to.arrays([("alpha", shape)])

    def read() -> Arrays:
        alpha = read_array(arrays[0]).reshape(-1)
        return {"weight": channel_order(values, alpha) if count > 1 else alpha}

    to.add("PReLU", {"num_parameters": count} if count > 1 else {}, read)
    to.activation = (options, "PReLU")


def write_prelu(out: Outgoing) -> list[Written]:
    module = out.module
    assert isinstance(module, nn.PReLU)
    count, is_map = module.num_parameters, len(out.layer.input_shape) == 3
    if is_map:
        shared = [1, 2] if count > 1 or out.layer.input_shape[0] == 1 else [1, 2, 3]
    else:
        shared = [] if count > 1 else [1]
    arrays: Arrays = {}
    if out.weights:
        alpha = out.weights["weight"]
        alpha = keras_order(out, alpha) if count > 1 else alpha
        arrays = {"alpha": alpha.reshape(1, 1, count) if is_map else alpha}
    return [Written("PReLU", {"shared_axes": shared or None}, arrays)]


def write_activation(out: Outgoing) -> list[Written]:
    name = written(out.layer.kind, out.layer.arguments)
    if name is None:
        raise Unwritable("is the approximation by tanh, which Keras has no name for")
    return [Written("Activation", {"activation": name}, {})]


def write_relu(out: Outgoing) -> list[Written]:
    return [Written("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, {})]


def write_leaky_relu(out: Outgoing) -> list[Written]:
    slope = out.layer.arguments.get("negative_slope", 0.01)
    if slope < 0:
        raise Unwritable("has a slope below 0, which Keras refuses")
    return [Written("LeakyReLU", {"negative_slope": slope}, {})]


def write_elu(out: Outgoing) -> list[Written]:
    if written("ELU", out.layer.arguments):
        return write_activation(out)
    return [Written("ELU", {"alpha": out.layer.arguments["alpha"]}, {})]
