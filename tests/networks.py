"""Random networks of every kind of layer, for comparing one implementation with another."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn

from mnist_lit.network.layers import KINDS, build
from mnist_lit.network.network import Network, is_miscomputed

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]

ACTIVATIONS = [name for name, kind in KINDS.items() if kind.pointwise]
ON_MAPS = [
    "Conv2d", "MaxPool2d", "AvgPool2d", "BatchNorm2d", "ZeroPad2d", "Dropout", "Dropout2d",
]  # fmt: skip
ON_VECTORS = ["Linear", "BatchNorm1d", "Dropout"]
GLOBAL_POOLS = ["AdaptiveAvgPool2d", "AdaptiveMaxPool2d"]
# For one image; the many parameters of a wide layer would test nothing more.
MOST_CHANNELS, MOST_SIDE = 12, 48


def _size(draw: Draw, least: int, most: int) -> Any:
    """Draw a size, or one for height and one for width."""
    sizes = st.integers(least, max(least, most))
    found: int | list[int] = draw(sizes | st.lists(sizes, min_size=2, max_size=2))
    return found


def _convolution(draw: Draw, shape: Shape) -> dict[str, Any]:
    channels, side = shape[0], min(shape[1:])
    padding, dilation = (
        draw(st.sampled_from([0, 0, 1, 2, [1, 2]])),
        draw(st.sampled_from([1, 1, 2])),
    )
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    return {
        "out_channels": groups * draw(st.integers(1, max(MOST_CHANNELS // groups, 1))),
        "kernel_size": _size(draw, 1, min(5, (side - 1) // dilation + 1)),
        "stride": _size(draw, 1, 3),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }


def _pool(draw: Draw, shape: Shape) -> dict[str, Any]:
    kernel = _size(draw, 1, min(4, *shape[1:]))
    smallest = min(kernel) if isinstance(kernel, list) else kernel
    values = {
        "kernel_size": kernel,
        "padding": draw(st.integers(0, smallest // 2)),
        "ceil_mode": draw(st.booleans()),
    }
    return values | ({"stride": _size(draw, 1, 3)} if draw(st.booleans()) else {})


def _arguments(draw: Draw, kind: str, shape: Shape) -> dict[str, Any]:
    slope = st.sampled_from([-0.5, 0.01, 0.3, 1.0, 1.5])
    if kind == "Conv2d":
        return _convolution(draw, shape)
    if kind == "MaxPool2d":
        return _pool(draw, shape)
    if kind == "AvgPool2d":
        return _pool(draw, shape) | {"count_include_pad": draw(st.booleans())}
    if kind.startswith("BatchNorm"):
        return {
            "eps": draw(st.sampled_from([1e-5, 1e-3, 0.1])),
            "momentum": draw(st.sampled_from([0.01, 0.1, 0.5])),
            "affine": draw(st.booleans()),
        }
    if kind == "ZeroPad2d":
        width = st.integers(0, 3)
        return {"padding": draw(width | st.lists(width, min_size=4, max_size=4))}
    if kind in GLOBAL_POOLS:
        return {"output_size": 1}
    if kind == "Linear":
        return {"out_features": draw(st.integers(1, 20)), "bias": draw(st.booleans())}
    if kind == "LeakyReLU":
        return {"negative_slope": draw(slope)}
    if kind == "PReLU":
        return {"num_parameters": draw(st.sampled_from([1, shape[0]]))}
    if kind == "ELU":
        return {"alpha": draw(slope)}
    return {"approximate": draw(st.sampled_from(["none", "tanh"]))} if kind == "GELU" else {}


def _shape(kind: str, arguments: dict[str, Any], shape: Shape) -> Shape | None:
    """Return the output's shape, or nothing for a layer that is refused or grows too large."""
    # As YAML gives pairs; torch takes them as tuples.
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()}
    with torch.device("meta"):
        module = build(kind, given, shape, 2).eval()
        after = tuple(module(torch.empty(1, *shape)).shape[1:])
    if after[1:] and max(after[1:]) > MOST_SIDE:
        return None
    if isinstance(module, nn.Conv2d) and is_miscomputed(module, shape, after):
        return None
    return after


@st.composite
def networks(draw: Draw, *, least_side: int = 8, most_side: int = 40) -> Network:
    """Draw a network whose weights and batch-norm statistics are random too."""
    shape: Shape = (1, *[draw(st.integers(least_side, most_side))] * 2)
    image_size = shape[1]
    layers: list[dict[str, Any]] = []

    def add(kind: str) -> None:
        nonlocal shape
        arguments = _arguments(draw, kind, shape)
        after = _shape(kind, arguments, shape)
        if after is None:
            return
        layers.append({kind: arguments})
        shape = after

    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["Conv2d", *ON_MAPS, *ACTIVATIONS]))
        add(kind)
        if kind in ACTIVATIONS and draw(st.booleans()):
            add("MaxPool2d")  # their order is derived
    num_classes = draw(st.integers(2, 12))
    ending = draw(st.sampled_from(["dense", "dense", "pool", "convolution"]))
    if ending == "convolution":  # takes the place of the last Linear
        layers.append({"Conv2d": {"out_channels": num_classes, "kernel_size": 1}})
        shape = (num_classes, *shape[1:])
    if ending != "dense":
        add(draw(st.sampled_from(GLOBAL_POOLS)))
    add("Flatten")
    if ending != "convolution":
        for _ in range(draw(st.integers(0, 3))):
            add(draw(st.sampled_from(["Linear", *ON_VECTORS, *ACTIVATIONS])))
        layers.append({"Linear": {"bias": draw(st.booleans())}})
    value = {"init": draw(st.sampled_from(["keras", "torch"])), "layers": layers}
    network = Network(num_classes, network=value, image_size=image_size)
    randomise(network, draw(st.integers(0, 2**32 - 1)))
    return network.eval()


def randomise(network: nn.Module, seed: int) -> None:
    """Give every weight and statistic a random value, of a size that keeps values near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                value.fill_(seed % 1000)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=generator)
            else:
                inputs = value[0].numel() if value.ndim > 1 else 4
                value.normal_(0, 1.5 / inputs**0.5, generator=generator)
