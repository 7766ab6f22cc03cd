"""What a network can be made of: classes of torch.nn, their arguments, and what those may be."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from mnist_lit.errors import InputError

# PyYAML reads numbers such as 1e-3, without a point, as text.
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class Rule(NamedTuple):
    """What an argument may be."""

    needed: str
    accepts: Callable[[Any], bool]


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def whole(least: int, most: int, *, several: int = 1) -> Rule:
    """A whole number, or a list of `several`, one for each axis or border."""
    needed = f"a whole number from {least} to {most:,}"

    def accepts(value: Any) -> bool:
        if several > 1 and isinstance(value, tuple):
            return len(value) == several and all(_is_whole(one, least, most) for one in value)
        return _is_whole(value, least, most)

    return Rule(needed + (f" or a list of {several}" if several > 1 else ""), accepts)


def number(needed: str, fits: Callable[[float], bool] = lambda _: True) -> Rule:
    def accepts(value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and fits(value)

    return Rule(needed, accepts)


# Limits that no sensible network meets and that keep every product of sizes inside 64 bits.
SIZE = whole(1, 1000, several=2)
PADDING = whole(0, 1000, several=2)
WIDTH = whole(1, 100_000)
FLAG = Rule("true or false", lambda value: type(value) is bool)
RATE = number("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
ANY = number("a number")

CONVOLUTION = {
    "out_channels": WIDTH,
    "kernel_size": SIZE,
    "stride": SIZE,
    "padding": PADDING,
    "dilation": SIZE,
    "groups": WIDTH,
    "bias": FLAG,
}
POOL = {"kernel_size": SIZE, "stride": SIZE, "padding": PADDING, "ceil_mode": FLAG}
GLOBAL_POOL = {"output_size": Rule("1", lambda value: _is_whole(value, 1, 1))}
NORM = {
    "eps": number("a number above 0", lambda value: value > 0),
    "momentum": number("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "affine": FLAG,
}


@dataclass(frozen=True)
class Kind:
    """A kind of layer.

    Args:
        module: The class of torch.nn.
        stem: Its layers' names begin with this. None ends in a digit, so that names stay unique.
        arguments: The arguments that may be given; a single value is the first of them.
        required: Those that must be given.
        follows: The argument that follows from the layer before.
        axes: Of its input, without the batch: 3 for a map C×H×W, 1 for a vector, None for either.
        numbered: Whether its name has a number even where there is only one such layer.
        pointwise: Whether it is an activation: each number of its output depends on one number.
    """

    module: type[nn.Module]
    stem: str
    arguments: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    follows: str | None = None
    axes: int | None = None
    numbered: bool = False
    pointwise: bool = False


def _pool(module: type[nn.Module], **more: Rule) -> Kind:
    return Kind(module, "pool", POOL | more, ("kernel_size",), axes=3, numbered=True)


def _global_pool(module: type[nn.Module]) -> Kind:
    return Kind(module, "pool", GLOBAL_POOL, axes=3, numbered=True)


def _norm(module: type[nn.Module], axes: int) -> Kind:
    return Kind(module, "norm", NORM, follows="num_features", axes=axes, numbered=True)


def _activation(module: type[nn.Module], stem: str, **arguments: Rule) -> Kind:
    return Kind(module, stem, arguments, numbered=stem == "relu", pointwise=True)


KINDS = {
    kind.module.__name__: kind
    for kind in (
        Kind(
            nn.Conv2d,
            "conv",
            CONVOLUTION,
            ("out_channels", "kernel_size"),
            follows="in_channels",
            axes=3,
            numbered=True,
        ),
        _pool(nn.MaxPool2d),
        _pool(nn.AvgPool2d, count_include_pad=FLAG),
        _global_pool(nn.AdaptiveAvgPool2d),
        _global_pool(nn.AdaptiveMaxPool2d),
        _norm(nn.BatchNorm2d, axes=3),
        _norm(nn.BatchNorm1d, axes=1),
        # Left, right, top, bottom.
        Kind(
            nn.ZeroPad2d,
            "pad",
            {"padding": whole(0, 1000, several=4)},
            ("padding",),
            axes=3,
            numbered=True,
        ),
        Kind(nn.Dropout, "dropout", {"p": RATE}),
        Kind(nn.Dropout2d, "dropout", {"p": RATE}, axes=3),
        Kind(nn.Flatten, "flatten", {}),
        Kind(
            nn.Linear,
            "dense",
            {"out_features": WIDTH, "bias": FLAG},
            follows="in_features",
            axes=1,
            numbered=True,
        ),
        _activation(nn.ReLU, "relu"),
        _activation(nn.ReLU6, "relu"),
        _activation(nn.LeakyReLU, "leaky_relu", negative_slope=ANY),
        _activation(nn.PReLU, "prelu", num_parameters=WIDTH),
        _activation(nn.ELU, "elu", alpha=ANY),
        _activation(nn.SELU, "selu"),
        _activation(
            nn.GELU, "gelu", approximate=Rule("none or tanh", lambda v: v in ("none", "tanh"))
        ),
        _activation(nn.SiLU, "silu"),
        _activation(nn.Tanh, "tanh"),
        _activation(nn.Sigmoid, "sigmoid"),
        _activation(nn.Hardsigmoid, "hardsigmoid"),
        _activation(nn.Softplus, "softplus"),
        _activation(nn.Softsign, "softsign"),
    )
}
# Allowed as the last layer, where both mean the log-softmax that every network ends with.
LAST = ("Softmax", "LogSoftmax")
MONOTONE = {
    "ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "Tanh", "Sigmoid", "Hardsigmoid", "Softplus",
    "Softsign",
}  # fmt: skip
MAX_POOLS = {"MaxPool2d", "AdaptiveMaxPool2d"}


def is_monotone(kind: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether it is an activation that never falls, so that it may follow a max pool."""
    bends = arguments.get("negative_slope", 0), arguments.get("alpha", 0)
    return kind in MONOTONE and min(bends) >= 0


def is_local(kind: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether the upper left of its output depends on the upper left of its input alone.

    That is: a smaller map, cut at the right and at the bottom, gives the same numbers where it
    gives any. Padding puts other numbers at the border; the statistics of a batch norm and the
    draws of dropout depend on the whole map.
    """
    plain = not arguments.get("padding") and not arguments.get("ceil_mode")
    return KINDS[kind].pointwise or (kind in ("Conv2d", "MaxPool2d", "AvgPool2d") and plain)


# What Keras calls layers and arguments, where no name here looks like it.
OF_KERAS = {
    "Dense": "Linear",
    "GlobalMaxPooling2D": "AdaptiveMaxPool2d",
    "filters": "out_channels",
    "units": "out_features",
    "rate": "p",
}


def at(number: int, kind: str) -> str:
    """Return the subject of an error about a layer, counted from 1."""
    return f"layer {number}, {kind}:"


def shown(value: object) -> str:
    """Return a value of an untrusted list as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def nearest(name: object, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name."""
    names = {one.lower(): one for one in known}
    if (meant := OF_KERAS.get(str(name))) in names.values():
        return f"did you mean {meant}?"
    near = difflib.get_close_matches(str(name)[:60].lower(), names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {names[near[0]]}?"
    return f"give one of {', '.join(names.values())}"


def check_kind(number: int, kind: object) -> None:
    """Raise InputError unless `kind` can stand anywhere in a network."""
    if kind in LAST:
        raise InputError(at(number, str(kind)), "can only be the last layer", "leave it out")
    if not isinstance(kind, str) or kind not in KINDS:
        problem = f"there is no layer {shown(kind)}"
        raise InputError(f"layer {number}:", problem, nearest(kind, [*KINDS, *LAST]))


def check_arguments(number: int, kind: str, given: object) -> dict[str, Any]:
    """Return a layer's arguments by their names in torch, in the table's order.

    Args:
        number: The layer's place, from 1.
        kind: A key of `KINDS`.
        given: A mapping, a single value that is the first argument, or None.

    Raises:
        InputError: An argument isn't in the table, has a value it can't have, or is missing.
    """
    rules, follows = KINDS[kind].arguments, KINDS[kind].follows
    if given is None:
        given = {}
    elif not isinstance(given, Mapping):
        given = {_first(number, kind, given): given}
    for name in given:
        if name == follows:
            problem = f"{name} follows from the layer before"
            raise InputError(at(number, kind), problem, "leave it out")
        if name not in rules:
            remedy = nearest(name, rules) if rules else "it takes none"
            raise InputError(at(number, kind), f"it has no argument {shown(name)}", remedy)
    arguments = {name: _checked(number, kind, name, given[name]) for name in rules if name in given}
    for name in KINDS[kind].required:
        if name not in arguments:
            raise InputError(at(number, kind), f"it has no {name}", f"give {rules[name].needed}")
    if rules is GLOBAL_POOL:
        arguments = {"output_size": 1}
    if "padding" in arguments and "ceil_mode" in rules:
        _check_pool(number, kind, arguments)
    return arguments


def _first(number: int, kind: str, value: object) -> str:
    """Return the argument that a single value means."""
    rules, follows = KINDS[kind].arguments, KINDS[kind].follows
    if "norm" in KINDS[kind].stem:
        assert follows
        return follows  # torch's first, which is refused where it is given
    if not rules:
        raise InputError(at(number, kind), f"it is given {shown(value)}", "it takes no arguments")
    return next(iter(rules))


def _checked(number: int, kind: str, name: str, value: Any) -> Any:
    rule = KINDS[kind].arguments[name]
    normal = value
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        normal = float(value)
    elif isinstance(value, list | tuple):
        normal = tuple(value)
    if not rule.accepts(normal):
        raise InputError(at(number, kind), f"{name} is {shown(value)}", f"give {rule.needed}")
    if isinstance(normal, tuple) and len(set(normal)) == 1:
        return normal[0]
    return normal


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return a size for height and width."""
    return value if isinstance(value, tuple) else (value, value)


def _check_pool(number: int, kind: str, arguments: Mapping[str, Any]) -> None:
    sizes = zip(pair(arguments["kernel_size"]), pair(arguments["padding"]), strict=True)
    if any(padding > size // 2 for size, padding in sizes):
        problem = f"padding {arguments['padding']} is more than half of the kernel"
        raise InputError(at(number, kind), problem, "give a smaller padding or a larger kernel")


def build(
    kind: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int
) -> nn.Module:
    """Return the layer as a module, with torch's initial weights."""
    values = dict(arguments)
    if follows := KINDS[kind].follows:
        values[follows] = input_shape[0]
    if kind == "Linear":
        values.setdefault("out_features", num_classes)
    return KINDS[kind].module(**values)
