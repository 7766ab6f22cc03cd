"""Figures of a network: its layers, its first weights, what its convolutions make of an image."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from torch import nn

from mnist_lit.colours import Colours
from mnist_lit.network.network import Layer, Network, shape_text
from mnist_lit.report.style import DPI

TILES = 64  # at most so many filters, and maps of a layer, are drawn
ROWS = 24  # at most so many rows of maps in one figure
TALLEST = 6.0  # inches of a mosaic


def architecture(layers: Sequence[Layer], colours: Colours) -> Figure:
    """Draw a network as a stack of layers, those with weights in colour."""
    width, row = 5.6, 0.4
    height = row * (len(layers) + 2.4)
    figure = Figure(figsize=(width, height))
    # One inch is one unit; the first layer lies below the headings.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for x, text, align in ((0.3, "layer", "left"), (4.15, "output", "right")):
        axes.text(x, 0.6 * row, text, ha=align, va="center", fontsize=9, alpha=0.75)
    axes.text(5.3, 0.6 * row, "parameters", ha="right", va="center", fontsize=9, alpha=0.75)
    for i, layer in enumerate(layers):
        _draw_layer(axes, layer, row * (i + 1.5), row, colours)
        if i:
            axes.plot(
                [width / 2] * 2, [row * (i + 0.86), row * (i + 1.14)], color=colours.ink, lw=1
            )
    axes.text(
        5.3, height - 0.45 * row, f"{sum(layer.parameters for layer in layers):,} parameters",
        ha="right", va="center", fontsize=11, fontweight="bold",
    )  # fmt: skip
    return figure


def _draw_layer(axes: Axes, layer: Layer, y: float, row: float, colours: Colours) -> None:
    weighted = layer.parameters > 0
    axes.add_patch(
        FancyBboxPatch(
            (0.15, y - 0.36 * row), 5.3, 0.72 * row, boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=colours.blue if weighted else colours.line, edgecolor="none",
            alpha=0.28 if weighted else 0.35,
        )
    )  # fmt: skip
    weight = "bold" if weighted else "normal"
    axes.text(0.3, y, layer.name, va="center", fontsize=10, fontweight=weight)
    axes.text(1.65, y, layer.kind, va="center", fontsize=9, alpha=0.85)
    axes.text(4.15, y, shape_text(layer.shape), ha="right", va="center", fontsize=10)
    axes.text(5.3, y, f"{layer.parameters:,}", ha="right", va="center", fontsize=10)


class Filters(NamedTuple):
    """The weights that look at the image itself: N×H×W, of `total` filters or units."""

    weights: NDArray[np.float32]
    total: int
    convolution: bool


def first_filters(network: Network) -> Filters | None:
    """Return the filters of the first convolution, or the weights of a dense layer over pixels.

    A 1×1 convolution of one channel, which only scales the input, is passed over. None where the
    first weights look at something else than pixels, such as several channels.
    """
    for layer, module in zip(network.layers, network.children(), strict=True):
        if isinstance(module, nn.Conv2d):
            if module.weight.shape[1] > 1:
                return None
            if module.weight.numel() > 1:
                return Filters(*_first(module.weight[:, 0].detach().numpy()), convolution=True)
        elif isinstance(module, nn.Linear):
            shape = _flattened(network.layers, layer)
            if shape is None:
                return None
            weights = module.weight.detach().numpy().reshape(-1, *shape)
            return Filters(*_first(weights), convolution=False)
    return None


def _first(weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    return weights[:TILES], len(weights)


def _flattened(layers: Sequence[Layer], dense: Layer) -> tuple[int, int] | None:
    """Return height and width of what a dense layer sees flattened, if that is one channel."""
    shapes = [layer.input_shape for layer in layers[: layers.index(dense)]]
    maps = [shape for shape in shapes if len(shape) == 3]
    if not maps or maps[-1][0] != 1 or math.prod(maps[-1]) != dense.input_shape[0]:
        return None
    return maps[-1][1:]


def filters(found: Filters) -> Figure:
    """Draw the weights of each filter or unit: what it looks for in the image."""
    n = len(found.weights)
    size = shape_text(found.weights.shape[1:])
    mosaic = _mosaic(found.weights, min(n, 8))
    width, height = 4.4, max(_height(mosaic, 4.4), 1.2)
    across, down = width + 1.2, height + 0.6
    figure = Figure(figsize=(across, down))
    axes = figure.add_axes((0.1 / across, 0.1 / down, width / across, height / down))
    axes.set_axis_off()
    bound = float(np.abs(found.weights).max()) or 1.0
    how = _interpolation(mosaic, width)
    drawn = axes.imshow(mosaic, cmap="PuOr", vmin=-bound, vmax=bound, interpolation=how)
    which = f"the {n}" if n == found.total else f"the first {n} of {found.total:,}"
    things = "filters of the first convolution" if found.convolution else "units of the first layer"
    axes.set_title(f"{which} {things}, {size} each", fontsize=10)
    place = ((width + 0.2) / across, 0.1 / down, 0.12 / across, height / down)
    bar = figure.colorbar(drawn, cax=figure.add_axes(place))
    bar.set_label("weight", fontsize=9)
    bar.ax.tick_params(labelsize=9)
    return figure


def _mosaic(maps: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Return maps N×H×W side by side in one array, with empty lines between them."""
    n, height, width = maps.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan, np.float32)
    for i, part in enumerate(maps):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        whole[top : top + height, left : left + width] = part
    return whole


def _interpolation(mosaic: NDArray[np.float32], width: float) -> str:
    """Return how a mosaic, so many inches wide, is drawn: pixel by pixel where there is room."""
    return "none" if max(mosaic.shape) <= width * DPI else "auto"


def _height(mosaic: NDArray[np.float32], width: float) -> float:
    height: float = width * mosaic.shape[0] / mosaic.shape[1]
    return min(max(height, 0.3), TALLEST)


def feature_maps(
    image: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]], *, narrow: bool = False
) -> Figure:
    """Draw an image H×H and what each convolution makes of it.

    A layer with many maps shows the first of them; a network with many convolutions shows those at
    even distances. The titles give the numbers.

    Args:
        image: The image.
        maps: Each convolution's maps C×H×W, at least one, as `inference.feature_maps` returns them.
        narrow: Whether the figure is drawn for a phone's width.
    """
    columns, width = (8, 5.2) if narrow else (16, 10.0)
    parts = _parts(image, maps, columns)
    heights = [1.8, *(_height(mosaic, width) for _, mosaic in parts[1:])]
    across, down = width + 0.4, sum(heights) + 0.4 * len(heights)
    figure = Figure(figsize=(across, down))
    top = down
    for i, (height, (title, values)) in enumerate(zip(heights, parts, strict=True)):
        top -= height + 0.4
        place = (0.2 / across, (top + 0.05) / down, width / across, height / down)
        axes = figure.add_axes(place, anchor="W")
        axes.set_axis_off()
        axes.set_title(title, fontsize=11, loc="left")
        colours, high = ("viridis", None) if i else ("gray", 255)
        low, how = min(0.0, float(np.nanmin(values))), _interpolation(values, width)
        axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation=how)
    return figure


def _parts(
    image: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]], columns: int
) -> list[tuple[str, NDArray[np.float32]]]:
    """Return the image and a mosaic of each layer's maps, each with its title."""
    names = _chosen(list(maps))
    some = f", {len(names)} of {len(maps)} convolutions" if len(names) < len(maps) else ""
    parts = [(f"the image{some}", image.astype(np.float32))]
    # The more layers there are, the fewer rows of maps each has.
    most = columns * max(1, min(TILES // columns, ROWS // len(names)))
    for name in names:
        n, height, width = maps[name].shape
        drawn = min(n, most)
        count = f"{n:,} maps" if drawn == n else f"the first {drawn} of {n:,} maps"
        title = f"{name}: {count if n > 1 else '1 map'} of {height}×{width}"
        parts.append((title, _mosaic(maps[name][:drawn], columns)))
    return parts


def _chosen(names: list[str]) -> list[str]:
    """Return at most `ROWS` of the names, at even distances, the first and the last among them."""
    if len(names) <= ROWS:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, ROWS).round().astype(int)]
