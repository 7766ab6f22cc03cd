"""Pictures of data, training, network and errors, each a matplotlib figure in one of two styles.

Colours are told apart by people with any colour vision (source: Okabe and Ito, Color Universal
Design), and every figure is legible at 800 pixels.
"""

import contextlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mnist_lit.report.labels import columns, lettered, points, shown

DPI = 130
NAMED = 50  # classes that a confusion matrix can name each
QUANTITIES = {"loss": "loss (nats an image)", "accuracy": "accuracy (share of images)"}


class Style(NamedTuple):
    ground: str
    ink: str
    quiet: str  # grids and shades
    blue: str
    red: str


STYLES = {
    "light": Style("#ffffff", "#1b1f24", "#d9dde2", "#0072b2", "#d55e00"),
    "dark": Style("#15191e", "#e6e9ed", "#3a4149", "#56b4e9", "#e69f00"),
}


@contextlib.contextmanager
def styled(name: str) -> Iterator[Style]:
    """Draw in the style `light` or `dark` within this context."""
    style = STYLES[name]
    values: Any = {
        "figure.facecolor": style.ground,
        "savefig.facecolor": style.ground,
        "axes.facecolor": style.ground,
        "axes.edgecolor": style.ink,
        "axes.labelcolor": style.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": style.ink,
        "xtick.color": style.ink,
        "ytick.color": style.ink,
        "grid.color": style.quiet,
        "legend.frameon": False,
        "font.size": 11,
        "text.parse_math": False,  # names may hold $
    }
    with matplotlib.rc_context(values):
        yield style


def parting(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the epoch from which the validation loss stays above the training loss to the end.

    None where it does not, or nothing was validated.
    """
    validated = [row for row in rows if row["val_loss"] is not None]
    part = None
    for row in reversed(validated):
        if row["val_loss"] <= row["train_loss"]:
            break
        part = int(row["epoch"])
    return part


def best_epoch(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the epoch with the lowest validation loss, the first of several."""
    validated = [row for row in rows if row["val_loss"] is not None]
    return int(min(validated, key=lambda row: row["val_loss"])["epoch"]) if validated else None


def curves(rows: Sequence[Mapping[str, Any]], style: Style) -> Figure:
    """Draw loss and accuracy over the epochs: training as dots, validation as a line."""
    figure = Figure(figsize=(10, 4.1))
    pair = figure.subplots(1, 2)
    figure.subplots_adjust(0.075, 0.28, 0.985, 0.97, wspace=0.2)
    epochs = [row["epoch"] for row in rows]
    best, part = best_epoch(rows), parting(rows)
    for axes, (quantity, label) in zip(pair, QUANTITIES.items(), strict=True):
        axes.plot(
            epochs, [row[f"train_{quantity}"] for row in rows], "o", color=style.blue, ms=4,
            label="training, during the epoch",
        )  # fmt: skip
        validated = [row for row in rows if row[f"val_{quantity}"] is not None]
        if validated:
            axes.plot(
                [row["epoch"] for row in validated],
                [row[f"val_{quantity}"] for row in validated],
                "-" if len(validated) > 1 else "_",
                color=style.blue,
                lw=1.8,
                ms=18,
                label="validation, after it",
            )
        if part is not None and len(rows) > 1:
            span: dict[str, Any] = {"color": style.quiet, "alpha": 0.5, "lw": 0, "zorder": 0}
            above = f"validation loss above training loss for good, from epoch {part}"
            axes.axvspan(part, epochs[-1], label=above, **span)
        if best is not None:
            axes.axvline(
                best, color=style.red, ls="--", lw=1.5, label=f"best epoch on validation: {best}"
            )
        axes.set(xlabel="epoch", ylabel=label, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", lw=0.7)
        axes.set_axisbelow(True)
    handles, labels = pair[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=10)
    return figure


def compared(runs: Mapping[str, Sequence[Mapping[str, Any]]], style: Style) -> Figure:
    """Draw the losses of several runs, training dotted and validation as lines, in one chart."""
    names, note = shown(list(runs), longest=36)
    figure = Figure(figsize=(10, 4.4))
    pair = figure.subplots(1, 2)
    figure.subplots_adjust(0.075, 0.13, 0.985, 0.85, wspace=0.2)
    # Okabe and Ito's colours, those legible on the ground first.
    colours = [style.blue, style.red, "#009e73", "#cc79a7", "#f0e442", "#56b4e9", "#e69f00"]
    for i, (name, rows) in enumerate(zip(names, runs.values(), strict=True)):
        colour = colours[i % len(colours)]
        for axes, quantity in zip(pair, QUANTITIES, strict=True):
            axes.plot(
                [row["epoch"] for row in rows], [row[f"train_{quantity}"] for row in rows],
                ".", color=colour, ms=4, label=None,
            )  # fmt: skip
            validated = [row for row in rows if row[f"val_{quantity}"] is not None]
            axes.plot(
                [row["epoch"] for row in validated],
                [row[f"val_{quantity}"] for row in validated],
                color=colour, lw=1.6, label=name,
            )  # fmt: skip
    for axes, label in zip(pair, QUANTITIES.values(), strict=True):
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", lw=0.7)
        axes.set_axisbelow(True)
    handles, labels = pair[0].get_legend_handles_labels()
    with lettered(names):
        figure.legend(
            handles, labels, loc="upper center", ncols=3, fontsize=9.5,
            title="dots: training    lines: validation", title_fontsize=9.5,
        )  # fmt: skip
    figure.text(0.99, 0.01, note, ha="right", fontsize=8)
    return figure


def architecture(layers: Sequence[tuple[str, str, Sequence[int], int]], style: Style) -> Figure:
    """Draw a network as a stack of layers.

    Args:
        layers: Of each layer its name, class, output shape without the batch, and parameters, as
            `network.layers` returns them.
        style: The style.
    """
    height = 0.42
    figure = Figure(figsize=(7.5, height * (len(layers) + 2.6)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 7.5), ylim=(-(len(layers) + 1.6), 1))
    axes.set_axis_off()
    for x, text, align in (
        (0.5, "layer", "left"), (5.2, "output", "right"), (7.0, "parameters", "right"),
    ):  # fmt: skip
        axes.text(x, 0.25, text, ha=align, va="center", fontsize=10, color=style.ink, alpha=0.75)
    for i, (name, kind, shape, parameters) in enumerate(layers):
        y = -i - 0.55
        weighted = parameters > 0
        axes.add_patch(
            matplotlib.patches.FancyBboxPatch(
                (0.3, y - 0.36), 6.9, 0.72, boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=style.blue if weighted else style.quiet, edgecolor="none",
                alpha=0.28 if weighted else 0.35,
            )
        )  # fmt: skip
        if i:
            axes.plot([3.75, 3.75], [y + 0.36, y + 0.64], color=style.ink, lw=1)
        weight = "bold" if weighted else "normal"
        axes.text(0.5, y, name, va="center", fontsize=11, fontweight=weight)
        axes.text(2.2, y, kind, va="center", fontsize=10, alpha=0.85)
        size = "×".join(map(str, shape))
        axes.text(5.2, y, size, ha="right", va="center", fontsize=11)
        axes.text(7.0, y, f"{parameters:,}", ha="right", va="center", fontsize=11)
    total = sum(layer[3] for layer in layers)
    axes.text(
        7.0, -len(layers) - 0.85, f"{total:,} parameters", ha="right", va="center",
        fontsize=12, fontweight="bold",
    )  # fmt: skip
    return figure


def confusion(counts: NDArray[np.integer[Any]], names: Sequence[str], style: Style) -> Figure:
    """Draw a confusion matrix, as numbers and as shares of each row.

    Of more than 50 classes some are named, at even distances.

    Args:
        counts: int classes×classes, by label and prediction.
        names: The classes' names.
        style: The style.
    """
    n, step = len(names), -(-len(names) // NAMED)
    ticks = range(0, n, step)
    names, note = shown(names, ticks)
    names = names[::step]
    stacked = n > 12
    size = 8 if stacked else 10
    widest = max(points(name, size) for name in names)
    # In inches, of a matrix and of the names beside it.
    label = widest / 72
    side = min(max(5, 0.3 * n), 8.3) if stacked else min(4.4 - label, max(2.2, 0.7 * n))
    cell = 72 * side / n
    turned = widest > 0.9 * cell * step
    below = label if turned else size / 72
    down, across = (2, 1) if stacked else (1, 2)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colours = LinearSegmentedColormap.from_list("", [style.ground, style.blue])
    with lettered(names):
        figure = Figure(
            figsize=(
                across * (side + label + 0.6),
                down * (side + below + 0.85) + (0.25 if note else 0),
            ),
            layout="compressed",
        )
        axis = f" (one class of {step} is named)" if step > 1 else ""
        for axes, values, title in zip(
            figure.subplots(down, across),
            (counts, shares),
            ("images", "per cent of each label's images"),
            strict=True,
        ):
            axes.imshow(
                values,
                cmap=colours,
                # A root, so that a handful of errors shows beside a thousand right answers.
                norm=PowerNorm(0.35 if step == 1 else 0.2, 0, max(values.max(), 1)),
                interpolation="nearest",  # a cell may be as small as a pixel
            )
            axes.set_title(title, fontsize=11)
            axes.set(xlabel=f"prediction{axis}", ylabel=f"label{axis}")
            axes.set_xticks(ticks, names, rotation=90 if turned else 0)
            axes.set_yticks(ticks, names)
            axes.tick_params(length=0, labelsize=size)
            for spine in axes.spines.values():
                spine.set_visible(False)
            _numbers(axes, values, cell, style)
        if note:
            figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    return figure


def _numbers(axes: Axes, values: NDArray[Any], cell: float, style: Style) -> None:
    """Write the values of a matrix into its cells, so many points wide, where they are legible."""
    form = "d" if np.issubdtype(values.dtype, np.integer) else ".1f"
    texts = {place: f"{values[place]:{form}}" for place in zip(*values.nonzero(), strict=True)}
    widest = max((points(text, 1) for text in texts.values()), default=1)
    size = min(0.95 * cell / widest, 0.3 * cell, 14)
    if size < 5:
        return
    for (row, column), text in texts.items():
        strong = values[row, column] > 0.3 * values.max()
        axes.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color=style.ground if strong else style.ink,
        )  # fmt: skip


def tiles(
    images: NDArray[np.uint8],
    titles: Sequence[str],
    style: Style,
    *,
    columns: int,
    empty: str,
    note: str = "",
) -> Figure:
    """Draw images N×28×28 in a grid, each under its title.

    Args:
        images: uint8 N×28×28.
        titles: N titles, of names that `shown` returned.
        style: The style.
        columns: Images in a row.
        empty: What is said where there is no image.
        note: What is said below, such as the note that `shown` returned.
    """
    rows = max(-(-len(images) // columns), 1)
    heading = 0.65 if any(title.count("\n") > 1 for title in titles) else 0.47
    cell_width, cell_height = 1.75, 1.53 + heading
    width = cell_width * columns
    # So many columns of the note's letters are as wide as the figure.
    note = textwrap.fill(note, int(72 * width / points("x", 8)) - 2)
    height = cell_height * rows + (0.16 * (note.count("\n") + 1) + 0.1 if note else 0)
    texts = []
    with lettered(titles):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        if not len(images):
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", fontsize=13)
        for i, (image, title) in enumerate(zip(images, titles, strict=True)):
            x, y = cell_width * (i % columns), -cell_height * (i // columns)
            axes.imshow(
                image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto",
                extent=(x + 0.15, x + cell_width - 0.15, y - cell_height + 0.08, y - heading),
            )  # fmt: skip
            middle = (x + cell_width / 2, y - heading / 2 - 0.015)
            texts.append(axes.text(*middle, title, ha="center", va="center", fontsize=11))
        axes.set(xlim=(0, width), ylim=(-height, 0))
        axes.text(0.1, 0.08 - height, note, va="bottom", fontsize=8)
    widest = max((text.get_window_extent().width / figure.dpi for text in texts), default=0)
    if widest > cell_width - 0.1:
        for text in texts:
            text.set_fontsize(11 * (cell_width - 0.1) / widest)
    return figure


def worst_errors(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    names: Sequence[str],
    style: Style,
    *,
    count: int = 25,
) -> Figure:
    """Draw the errors that the network was surest of: label, prediction and its probability.

    Args:
        images: uint8 N×28×28.
        labels: int N.
        probabilities: float N×classes.
        names: The classes' names.
        style: The style.
        count: At most so many.
    """
    predictions = probabilities.argmax(1)
    wrong = np.flatnonzero(predictions != labels)
    of_label = probabilities[wrong, labels[wrong]]
    worst = wrong[np.argsort(of_label, kind="stable")[:count]]
    names, note = shown(names, [*labels[worst], *predictions[worst]])
    pairs = [(names[labels[i]], names[predictions[i]]) for i in worst]
    parting = ", " if all(columns(label + read) <= 6 for label, read in pairs) else "\n"
    titles = [
        f"{label}{parting}read as {read}\n{probabilities[i].max():.3f}"
        for i, (label, read) in zip(worst, pairs, strict=True)
    ]
    return tiles(images[worst], titles, style, columns=5, empty="no image was misread", note=note)


def _mosaic(maps: NDArray[np.floating[Any]], columns: int) -> NDArray[np.floating[Any]]:
    """Return maps N×H×W side by side in one array, with empty lines between them."""
    n, height, width = maps.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, part in enumerate(maps):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        whole[top : top + height, left : left + width] = part
    return whole


def filters(weights: NDArray[np.floating[Any]], style: Style) -> Figure:
    """Draw the filters of a first convolution, N×1×H×W: what each looks for in the image."""
    figure = Figure(figsize=(8, 4.1))
    axes = figure.add_axes((0.02, 0.02, 0.85, 0.9))
    bound = float(np.abs(weights).max())
    shown = axes.imshow(_mosaic(weights[:, 0], 8), cmap="PuOr", vmin=-bound, vmax=bound)
    axes.set_axis_off()
    axes.set_title(
        f"the {len(weights)} filters of the first convolution, "
        f"{weights.shape[2]}×{weights.shape[3]} pixels each",
        fontsize=11,
    )
    figure.colorbar(shown, cax=figure.add_axes((0.895, 0.04, 0.02, 0.84)), label="weight")
    return figure


def feature_maps(
    image: NDArray[np.uint8], maps: Mapping[str, NDArray[np.floating[Any]]], style: Style
) -> Figure:
    """Draw an image, 28×28, and what each convolution makes of it.

    Args:
        image: The image.
        maps: By layer, its feature maps C×H×W after the activation.
        style: The style.
    """
    mosaics = {name: _mosaic(part, 16) for name, part in maps.items()}
    heights = [2.2, *(10 * m.shape[0] / m.shape[1] + 0.45 for m in mosaics.values())]
    total = sum(heights)
    figure = Figure(figsize=(10.4, total))
    top = total
    grounds: list[tuple[Axes, Any, str]] = []
    for height, (name, values) in zip(
        heights, {"the image": image.astype(float), **mosaics}.items(), strict=True
    ):
        top -= height
        axes = figure.add_axes((0.2 / 10.4, top / total, 10 / 10.4, (height - 0.4) / total))
        axes.set_axis_off()
        grounds.append((axes, values, name))
    for axes, values, name in grounds:
        axes.imshow(values, cmap="gray" if name == "the image" else "viridis", vmin=0)
        axes.set_anchor("W")
        title = name
        if name != "the image":
            n, height, width = maps[name].shape
            title = (
                f"{name}: {n} maps of {height}×{width}, bright where the filter's pattern was found"
            )
        axes.set_title(title, fontsize=11, loc="left")
    return figure
