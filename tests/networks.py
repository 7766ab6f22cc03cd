"""Random networks for property tests: every kind of layer, every option."""

from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import nn

ACTIVATIONS: dict[str, st.SearchStrategy[Any]] = {
    "ReLU": st.just({}),
    "ReLU6": st.just({}),
    "LeakyReLU": st.fixed_dictionaries({}, optional={"negative_slope": st.sampled_from([0.2, -0.5])}),
    "PReLU": st.just({}),  # with a slope for each channel: see `_activation`
    "ELU": st.fixed_dictionaries({}, optional={"alpha": st.sampled_from([0.5, -0.5])}),
    "SELU": st.just({}),
    "GELU": st.fixed_dictionaries({}, optional={"approximate": st.sampled_from(["none", "tanh"])}),
    "SiLU": st.just({}),
    "Tanh": st.just({}),
    "Sigmoid": st.just({}),
    "Hardsigmoid": st.just({}),
    "Softplus": st.just({}),
    "Softsign": st.just({}),
}
NORM = st.fixed_dictionaries(
    {},
    optional={
        "eps": st.sampled_from([1e-3, 1e-2]),
        "momentum": st.sampled_from([0.01, 0.5]),
        "affine": st.booleans(),
    },
)


class Example(NamedTuple):
    """A network's plain value and the data that it is for."""

    value: Any
    num_classes: int
    image_size: int


def sizes(least: int, most: int) -> st.SearchStrategy[Any]:
    one = st.integers(least, most)
    return one | st.lists(one, min_size=2, max_size=2)


def _activation(draw: st.DrawFn, channels: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(ACTIVATIONS)))
    arguments = draw(ACTIVATIONS[kind])
    if kind == "PReLU":
        arguments = draw(st.sampled_from([{}, {"num_parameters": 1}, {"num_parameters": channels}]))
    return {kind: arguments}


def _convolution(draw: st.DrawFn, channels: int) -> dict[str, Any]:
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    optional = {
        "stride": sizes(1, 2),
        "padding": sizes(0, 2),
        "dilation": sizes(1, 2),
        "groups": st.just(groups),
        "bias": st.booleans(),
    }
    arguments = draw(st.fixed_dictionaries({"kernel_size": sizes(1, 4)}, optional=optional))
    out = draw(st.integers(1, max(1, 6 // groups))) * arguments.get("groups", 1)
    return {"Conv2d": {"out_channels": out} | arguments}


def _pool(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    optional: dict[str, Any] = {"stride": sizes(1, 3), "ceil_mode": st.booleans()}
    if kind == "AvgPool2d":
        optional["count_include_pad"] = st.booleans()
    arguments = draw(st.fixed_dictionaries({"kernel_size": sizes(2, 3)}, optional=optional))
    if draw(st.booleans()):
        arguments["padding"] = draw(sizes(0, 1))
    return {kind: arguments}


def _on_map(draw: st.DrawFn, channels: int) -> list[dict[str, Any]]:
    """Draw one layer, or a pair of activation and max pool, whose order is derived."""
    # Convolutions, pools and activations most often: the crop, too, is about them.
    group = draw(st.sampled_from(["convolution", "convolution", "pool", "pair", "pair", "other"]))
    if group == "convolution":
        return [_convolution(draw, channels)]
    if group == "pool":
        return [_pool(draw, draw(st.sampled_from(["MaxPool2d", "AvgPool2d"])))]
    if group == "pair":
        return [_activation(draw, channels), _pool(draw, "MaxPool2d")]
    border = st.lists(st.integers(0, 2), min_size=4, max_size=4) | st.integers(0, 2)
    others = (
        st.fixed_dictionaries({"BatchNorm2d": NORM})
        | st.fixed_dictionaries({"ZeroPad2d": border})
        | st.sampled_from([{"Dropout": 0.3}, {"Dropout2d": 0.3}])
    )
    return [draw(others)]


def _on_vector(draw: st.DrawFn, size: int) -> dict[str, Any]:
    group = draw(st.sampled_from(["dense", "activation", "norm", "dropout"]))
    if group == "dense":
        width = draw(st.integers(1, 6))
        return {"Linear": {"out_features": width} | draw(st.sampled_from([{}, {"bias": False}]))}
    if group == "activation":
        return _activation(draw, size)
    return {"BatchNorm1d": draw(NORM)} if group == "norm" else {"Dropout": {}}


def module(item: dict[str, Any], shape: tuple[int, ...]) -> nn.Module:
    """Return one layer as torch makes it, for an input of `shape` without the batch."""
    ((kind, given),) = item.items()
    first = {"MaxPool2d": "kernel_size", "Dropout": "p", "Dropout2d": "p", "ZeroPad2d": "padding"}
    values = dict(given) if isinstance(given, dict) else {first[kind]: given}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    ahead = () if kind not in ("Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d") else (shape[0],)
    made: nn.Module = getattr(nn, kind)(*ahead, **values)
    return made


def after(item: dict[str, Any], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of a layer's output, or None where the input is too small for it."""
    try:
        with torch.no_grad():
            return tuple(module(item, shape).eval()(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError:
        return None


@st.composite
def networks(draw: st.DrawFn) -> Example:
    """Draw a network that fits its data."""
    image_size, num_classes = draw(st.integers(8, 40)), draw(st.integers(2, 11))
    layers: list[Any] = []
    shape: tuple[int, ...] = (1, image_size, image_size)

    def add(item: dict[str, Any]) -> None:
        nonlocal shape
        if (output := after(item, shape)) is not None:
            layers.append(item)
            shape = output

    for _ in range(draw(st.integers(0, 7))):
        for item in _on_map(draw, shape[0]):
            add(item)
    ends_with_convolution = draw(st.booleans())
    if ends_with_convolution:
        add({"Conv2d": {"out_channels": num_classes, "kernel_size": 1}})
    if ends_with_convolution or draw(st.booleans()):
        if draw(st.booleans()):
            add(_activation(draw, shape[0]))
        add({draw(st.sampled_from(["AdaptiveAvgPool2d", "AdaptiveMaxPool2d"])): {"output_size": 1}})
    add({"Flatten": {}})
    if not ends_with_convolution:
        for _ in range(draw(st.integers(0, 3))):
            add(_on_vector(draw, shape[0]))
        layers.append(draw(st.sampled_from(["Linear", {"Linear": num_classes}, {"Linear": None}])))
    layers += draw(st.sampled_from([[], ["Softmax"], ["LogSoftmax"]]))
    inits = [{"init": init, "layers": layers} for init in ("keras", "torch")]
    return Example(draw(st.sampled_from([layers, *inits])), num_classes, image_size)
