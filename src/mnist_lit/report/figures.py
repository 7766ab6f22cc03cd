"""Figures of data, training and errors, each drawn in the colours of one style.

Every figure is legible at 800 pixels; drawn `narrow`, it is legible at 390, a phone's width.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mnist_lit.colours import Colours
from mnist_lit.report import history
from mnist_lit.report.history import Rows
from mnist_lit.report.labels import columns as text_columns
from mnist_lit.report.labels import lettered, points, shown, width

if TYPE_CHECKING:
    from mnist_lit.evaluation import Answers

NAMED = 50  # at most so many names beside a confusion matrix
LARGE = 12  # a confusion matrix of more classes fills a figure's width
QUANTITIES = {"loss": "loss", "accuracy": "accuracy (share of images)"}
ACCURACIES = [0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1]
FINEST = 5e-4  # a difference of accuracy near 1 that is still told apart
LEGIBLE = 5  # points that a number needs
SHEET_WIDTH = 8  # inches
SHARP = 64  # pixels of a side up to which each pixel of a tile is drawn as a square


def curves(rows: Rows, colours: Colours, *, narrow: bool = False) -> Figure:
    """Draw loss and accuracy over the epochs: training as dots, validation as a line."""
    figure, charts = _charts(narrow)
    for axes, quantity in charts:
        _draw_history(axes, rows, quantity, colours)
        _mark_epochs(axes, rows, colours)
        axes.set_xlim(rows[0]["epoch"] - 0.5, rows[-1]["epoch"] + 0.5)
    handles, labels = charts[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=1 if narrow else 2, fontsize=10
    )
    return figure


def _charts(narrow: bool) -> tuple[Figure, list[tuple[Axes, str]]]:
    """Return a figure with a chart for each quantity: side by side, or narrow, in a column."""
    size = (5, 7.4) if narrow else (10, 4.3)
    figure = Figure(figsize=size, layout="constrained")
    shape = (len(QUANTITIES), 1) if narrow else (1, len(QUANTITIES))
    charts = list(zip(figure.subplots(*shape), QUANTITIES, strict=True))
    for axes, quantity in charts:
        axes.set(xlabel="epoch", ylabel=QUANTITIES[quantity])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", lw=0.7)
        axes.set_axisbelow(True)
        if quantity == "accuracy":
            _scale_by_errors(axes)
    return figure, charts


def _scale_by_errors(axes: Axes) -> None:
    """Let an accuracy axis grow with the logarithm of the errors: 0.99 is far from 0.98."""
    axes.set_yscale(
        "function",
        functions=(
            lambda accuracy: -np.log(np.maximum(1 + FINEST - accuracy, FINEST / 10)),
            lambda height: 1 + FINEST - np.exp(-height),
        ),
    )
    axes.set_yticks(ACCURACIES, [f"{accuracy:g}" for accuracy in ACCURACIES])


def _draw_history(axes: Axes, rows: Rows, quantity: str, colours: Colours) -> None:
    axes.plot(
        [row["epoch"] for row in rows],
        [row[f"train_{quantity}"] for row in rows],
        "o",
        color=colours.blue,
        ms=4,
        label="training, during the epoch",
    )
    validated = history.validated(rows, quantity)
    if validated:
        axes.plot(
            [row["epoch"] for row in validated],
            [row[f"val_{quantity}"] for row in validated],
            "-" if len(validated) > 1 else "_",
            color=colours.red,
            lw=1.8,
            ms=18,
            label="validation, after it",
        )


def _mark_epochs(axes: Axes, rows: Rows, colours: Colours) -> None:
    """Mark the best epoch, and those in which the validation loss stays above training's."""
    best, part = history.best_epoch(rows), history.parting(rows)
    if part is not None and len(rows) > 1:
        label = f"validation loss above training loss for good, from epoch {part}"
        span: dict[str, Any] = {"color": colours.line, "alpha": 0.5, "lw": 0, "zorder": 0}
        axes.axvspan(part, rows[-1]["epoch"], label=label, **span)
    if best is not None:
        label = f"best epoch on validation: {best}"
        axes.axvline(best, color=colours.ink, ls="--", lw=1.3, label=label)


def compared(runs: Mapping[str, Rows], colours: Colours, *, narrow: bool = False) -> Figure:
    """Draw several runs in the same charts: training as dots, validation as lines."""
    names, note = shown(list(runs), longest=36)
    figure, charts = _charts(narrow)
    for axes, quantity in charts:
        for i, (name, rows) in enumerate(zip(names, runs.values(), strict=True)):
            _draw_run(axes, rows, quantity, name, i, colours)
    handles, labels = charts[0][0].get_legend_handles_labels()
    with lettered(names):
        figure.legend(
            handles, labels, loc="outside upper center", ncols=1 if narrow else 3, fontsize=9.5,
            title="dots: training, lines: validation", title_fontsize=9.5,
        )  # fmt: skip
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8)
    return figure


def _draw_run(
    axes: Axes, rows: Rows, quantity: str, name: str, place: int, colours: Colours
) -> None:
    colour = colours.series[place % len(colours.series)]
    # Where there are more runs than colours, the lines differ too.
    line = ("-", "--", ":", "-.")[place // len(colours.series) % 4]
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, [row[f"train_{quantity}"] for row in rows], ".", color=colour, ms=4)
    validated = history.validated(rows, quantity)
    axes.plot(
        [row["epoch"] for row in validated],
        [row[f"val_{quantity}"] for row in validated],
        color=colour, ls=line, lw=1.6, label=name,
    )  # fmt: skip


class _Matrix(NamedTuple):
    """Where things go in a confusion matrix; lengths are in inches."""

    step: int  # every so many classes are named
    names: list[str]
    note: str
    size: float  # of the names, in points
    label: float  # length of the longest name
    side: float
    turned: bool  # whether the names below it are vertical

    @property
    def ticks(self) -> range:
        return range(0, self.step * len(self.names), self.step)

    @property
    def below(self) -> float:
        return self.label if self.turned else self.size / 72


def _matrix(names: Sequence[str]) -> _Matrix:
    n, step = len(names), -(-len(names) // NAMED)
    found, note = shown(names, range(0, n, step))
    found = found[::step]
    size = 8 if n > LARGE else 10
    label = width(found, size)
    side = min(max(5, 0.3 * n), 8.3) if n > LARGE else min(max(4.4 - label, 2.6), max(2.2, 0.7 * n))
    return _Matrix(step, found, note, size, label, side, label > 0.9 * side / n * step)


def confusion(
    counts: NDArray[np.integer[Any]],
    names: Sequence[str],
    colours: Colours,
    *,
    narrow: bool = False,
) -> Figure:
    """Draw a confusion matrix, as numbers and as shares of each row.

    Where there are more than 50 classes, some are named, at even distances.

    Args:
        counts: int classes×classes, by label and prediction.
        names: The classes' names.
        colours: The style's.
        narrow: Whether the two are drawn in a column; those of many classes always are.
    """
    matrix = _matrix(names)
    down, across = (2, 1) if narrow or len(names) > LARGE else (1, 2)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # All places are given, in inches: for matplotlib to find them takes as long as to draw.
    part = np.array([matrix.side + matrix.label + 0.6, matrix.side + matrix.below + 0.85])
    size = part * (across, down) + (0, 0.25 if matrix.note else 0)
    parts = ((counts, "images"), (shares, "per cent of each label's images"))
    with lettered(matrix.names):
        figure = Figure(figsize=tuple(size))
        for i, (values, title) in enumerate(parts):
            corner = part * (i % across, i // across) + (matrix.label + 0.42, matrix.side + 0.4)
            place = (corner[0], size[1] - corner[1], matrix.side, matrix.side)
            axes = figure.add_axes(tuple(place / np.tile(size, 2)))
            axes.set_title(title, fontsize=11)
            _draw_matrix(axes, values, matrix, colours)
        if matrix.note:
            figure.supxlabel(matrix.note, x=0.01, ha="left", fontsize=8)
    return figure


def _draw_matrix(axes: Axes, values: NDArray[Any], matrix: _Matrix, colours: Colours) -> None:
    # A root, so that a handful of errors shows beside a thousand right answers.
    norm = PowerNorm(0.35 if matrix.step == 1 else 0.2, 0, max(values.max(), 1))
    if matrix.step == 1:
        rows, columns = values.nonzero()
        cells = [Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in zip(rows, columns, strict=True)]
        # More or less opaque, so that the page's colour can shade the page's ground.
        shades = [(colours.blue, opacity) for opacity in norm(values[rows, columns]).tolist()]
        axes.add_collection(PatchCollection(cells, facecolors=shades, linewidths=0))
        n = len(values)
        axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
    else:  # cells as small as a pixel, and many: an image, which brings its own ground
        cmap = LinearSegmentedColormap.from_list("", [colours.ground, colours.blue])
        axes.imshow(values, cmap=cmap, norm=norm, interpolation="nearest")
    axis = f" (one class of {matrix.step} is named)" if matrix.step > 1 else ""
    axes.set(xlabel=f"prediction{axis}", ylabel=f"label{axis}")
    axes.set_xticks(matrix.ticks, matrix.names, rotation=90 if matrix.turned else 0)
    axes.set_yticks(matrix.ticks, matrix.names)
    axes.tick_params(length=0, labelsize=matrix.size)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _write_numbers(axes, values, 72 * matrix.side / len(values), colours)


def _write_numbers(axes: Axes, values: NDArray[Any], cell: float, colours: Colours) -> None:
    """Write the values of a matrix into its cells, so many points wide, where they are legible."""
    form = "d" if np.issubdtype(values.dtype, np.integer) else ".1f"
    texts = {place: f"{values[place]:{form}}" for place in zip(*values.nonzero(), strict=True)}
    widest = max((points(text, 1) for text in texts.values()), default=1)
    size = min(0.95 * cell / widest, 0.3 * cell, 14)
    if size < LEGIBLE:
        return
    for (row, column), text in texts.items():
        strong = values[row, column] > 0.3 * values.max()
        axes.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color=colours.ground if strong else colours.ink,
        )  # fmt: skip


CELL = 1.75  # inches that a tile takes
MARGIN = 0.15  # inches beside it


def tiles(
    images: NDArray[np.uint8], titles: Sequence[str], *, columns: int, empty: str, note: str = ""
) -> Figure:
    """Draw images in a grid, each under its title.

    Args:
        images: uint8 N×H×H.
        titles: N titles, of names that `shown` returned.
        columns: Images in a row.
        empty: What is said where there is no image.
        note: What is said below, such as the note that `shown` returned.
    """
    rows = max(-(-len(images) // columns), 1)
    heading = 0.65 if any(title.count("\n") > 1 for title in titles) else 0.47
    cell_height = CELL - 2 * MARGIN + 0.08 + heading
    width = CELL * columns
    # So many columns of the note's letters are as wide as the figure.
    note = textwrap.fill(note, int(72 * width / points("x", 8)) - 2)
    height = cell_height * rows + (0.16 * (note.count("\n") + 1) + 0.1 if note else 0)
    with lettered(titles):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(-height, 0))
        axes.set_axis_off()
        if not len(images):
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", fontsize=13)
        texts = []
        for i, (image, title) in enumerate(zip(images, titles, strict=True)):
            x, y = CELL * (i % columns), -cell_height * (i // columns)
            place = (x + MARGIN, x + CELL - MARGIN, y - cell_height + 0.08, y - heading)
            _draw_tile(axes, image, place)
            middle = (x + CELL / 2, y - heading / 2 - 0.015)
            texts.append(axes.text(*middle, title, ha="center", va="center", fontsize=11))
        axes.set(xlim=(0, width), ylim=(-height, 0))
        axes.text(0.1, 0.08 - height, note, va="bottom", fontsize=8)
        _shrink(texts, CELL - 0.1, figure.dpi)
    return figure


class Sheet(NamedTuple):
    """A picture of separate characters.

    Args:
        grey: Values 0 to 255, H×W.
        size: The picture's own width and height.
        boxes: What was read, and where: x, y, width and height in the picture's own pixels.
    """

    grey: NDArray[np.float32]
    size: tuple[int, int]
    boxes: Sequence[tuple[str, tuple[int, int, int, int]]]


def sheets(drawn: Sequence[Sheet], colours: Colours) -> Figure:
    """Draw pictures one below the other, with a box and a label at each character."""
    heights = [SHEET_WIDTH * sheet.size[1] / sheet.size[0] for sheet in drawn]
    with lettered([label for sheet in drawn for label, _ in sheet.boxes]):
        figure = Figure(figsize=(SHEET_WIDTH, sum(heights)))
        grid = figure.add_gridspec(
            len(drawn), height_ratios=heights, left=0, right=1, bottom=0, top=1, hspace=0.02
        )
        for i, (grey, (width, height), boxes) in enumerate(drawn):
            axes = figure.add_subplot(grid[i])
            axes.set_axis_off()
            axes.imshow(
                grey, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=(0, width, height, 0)
            )
            for label, (x, y, across, down) in boxes:
                axes.add_patch(Rectangle((x, y), across, down, fill=False, ec=colours.red))
                axes.text(
                    x, y, f"{label} ", color=colours.blue, ha="right", va="top", weight="bold"
                )
    return figure


def _draw_tile(
    axes: Axes, image: NDArray[np.uint8], place: tuple[float, float, float, float]
) -> None:
    axes.imshow(
        image,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="none" if max(image.shape) <= SHARP else "auto",
        aspect="auto",
        extent=place,
    )


def _shrink(texts: Sequence[Text], width: float, dpi: float) -> None:
    """Make texts smaller, all alike, until each is at most so many inches wide."""
    widest = max((text.get_window_extent().width / dpi for text in texts), default=0)
    if widest > width:
        for text in texts:
            text.set_fontsize(11 * width / widest)


def worst_errors(
    answers: "Answers", names: Sequence[str], *, count: int = 25, columns: int = 5
) -> Figure:
    """Draw the errors whose labels were least probable: label, prediction and its probability.

    Args:
        answers: The network's answers.
        names: The classes' names.
        count: At most so many errors.
        columns: Images in a row.
    """
    labels, predictions = answers.labels, answers.log_probabilities.argmax(1)
    wrong = np.flatnonzero(~answers.right)
    of_label = answers.log_probabilities[wrong, labels[wrong]]
    worst = wrong[np.argsort(of_label, kind="stable")[:count]]
    names, note = shown(names, [*labels[worst], *predictions[worst]])
    pairs = [(names[labels[i]], names[predictions[i]]) for i in worst]
    between = ", " if all(text_columns(label + read) <= 6 for label, read in pairs) else "\n"
    titles = [
        f"{label}{between}read as {read}\n{answers.probabilities[i].max():.3f}"
        for i, (label, read) in zip(worst, pairs, strict=True)
    ]
    empty = "no image was misread"
    return tiles(answers.images[worst], titles, columns=columns, empty=empty, note=note)
