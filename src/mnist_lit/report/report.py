"""A run's figures and its report, one page that needs nothing but itself."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from mnist_lit.colours import Colours
from mnist_lit.data import sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.evaluation import Answers, Evaluation, evaluate
from mnist_lit.files import atomic_write
from mnist_lit.network import inference
from mnist_lit.report import figures, history, network_figures
from mnist_lit.report.contents import Contents, gather
from mnist_lit.report.style import png, styled, svg
from mnist_lit.runs.metrics import COLUMNS
from mnist_lit.runs.run import Run
from mnist_lit.templating import template

LISTED = 20  # classes in an open table; where there are more, the worst are
WORST = 10


class Drawing(NamedTuple):
    """How a figure is drawn.

    Args:
        draw: A function of the style's colours and whether the figure is narrow.
        has_narrow: Whether a phone is shown another drawing.
    """

    draw: Callable[[Colours, bool], Figure]
    has_narrow: bool = True


class Drawn(NamedTuple):
    """A figure as it was drawn.

    Args:
        png: The PNG file, in the style that was asked for.
        shown: What the page shows, for the template's `picture`: `svg` and perhaps `svg_narrow`.
    """

    png: bytes
    shown: dict[str, str]


def write(
    run: Run,
    answers: Mapping[str, Answers] | None = None,
    *,
    data: MNISTDataModule | None = None,
    style: str = "light",
) -> dict[str, bytes]:
    """Draw every figure of a run into its folder and write `report.html`.

    What isn't there is left out: a run that was stopped has a report of what it left.

    Args:
        run: The run.
        answers: The answers of its checkpoints to the test images, by `best` and `last`; by default
            the networks are asked here.
        data: Where the test images come from; by default what the checkpoint says.
        style: `light` or `dark`, for the PNG files. The page follows its reader.

    Returns:
        The PNG files by name.

    Raises:
        InputError: The run has no metrics, or a damaged file.
    """
    contents = gather(run, answers, data)
    evaluation = evaluate(contents.answers) if contents.answers else None
    drawn = draw_all(drawings(contents, evaluation), style)
    for name, figure in drawn.items():
        with atomic_write(run.folder / "figures" / f"{name}.png") as file:
            file.write(figure.png)
    write_page(run.report, render(contents, evaluation, drawn))
    return {name: figure.png for name, figure in drawn.items()}


def drawings(contents: Contents, evaluation: Evaluation | None) -> dict[str, Drawing]:
    """Return the figures that a report has, by name."""
    rows = contents.rows
    found = {"curves": Drawing(lambda c, narrow: figures.curves(rows, c, narrow=narrow))}
    if contents.checkpoint is None:
        return found
    network, names = contents.checkpoint.build(), contents.checkpoint.class_names
    layers = network.layers
    found["architecture"] = Drawing(
        lambda c, _: network_figures.architecture(layers, c), has_narrow=False
    )
    if filters := network_figures.first_filters(network):
        found["filters"] = Drawing(lambda *_: network_figures.filters(filters), has_narrow=False)
    answers = contents.answers
    if answers is None or evaluation is None:
        return found
    counts, image = evaluation.confusion, answers.images[0]
    found["confusion-matrix"] = Drawing(
        lambda c, narrow: figures.confusion(counts, names, c, narrow=narrow),
        has_narrow=len(names) <= figures.LARGE,
    )
    found["worst-errors"] = Drawing(
        lambda _, narrow: figures.worst_errors(answers, names, columns=3 if narrow else 5)
    )
    if maps := inference.feature_maps(network, image):
        found["feature-maps"] = Drawing(
            lambda _, narrow: network_figures.feature_maps(image, maps, narrow=narrow)
        )
    return found


def draw_all(drawings: Mapping[str, Drawing], style: str = "light") -> dict[str, Drawn]:
    """Draw figures for a page, which is read in every style and width, and as PNG files in one."""
    drawn = {}
    for name, drawing in tqdm(drawings.items(), "drawing", leave=False, disable=None):
        with styled("light") as colours:  # which the page replaces
            figure = drawing.draw(colours, False)
            shown = {"svg": svg(figure, colours, name)}
            if drawing.has_narrow:
                narrow = drawing.draw(colours, True)
                shown["svg_narrow"] = svg(narrow, colours, f"{name}-narrow")
        with styled(style) as colours:
            file = png(figure if style == "light" else drawing.draw(colours, False))
        drawn[name] = Drawn(file, shown)
    return drawn


def render(contents: Contents, evaluation: Evaluation | None, drawn: Mapping[str, Drawn]) -> str:
    """Return the page."""
    rows, checkpoint = contents.rows, contents.checkpoint
    names = checkpoint.class_names if checkpoint else []
    classes = class_rows(evaluation, names) if evaluation else []
    return template("report.html").render(
        run=str(contents.run),
        dataset=contents.dataset,
        is_sample=contents.dataset == sample.NAME,
        rows=rows,
        columns=COLUMNS,
        best=history.best_epoch(rows),
        parting=history.parting(rows),
        stopped=history.early_stop(rows),
        patience=history.PATIENCE,
        results=contents.results,
        summary=contents.summary,
        evaluation=evaluation,
        names=names,
        classes=classes,
        worst=worst(classes) if len(classes) > LISTED else [],
        listed=LISTED,
        missing=contents.missing,
        odd=contents.odd,
        config_file=shlex.quote(str(contents.run.config)),
        config=yaml.safe_dump(contents.run.read_config(), sort_keys=False, allow_unicode=True),
        figures={name: figure.shown for name, figure in drawn.items()},
    )


def class_rows(evaluation: Evaluation, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return each class's name, images, precision and recall; None where there is no value."""
    columns = {
        "images": evaluation.confusion.sum(1).tolist(),
        "precision": [None if math.isnan(value) else value for value in evaluation.precision],
        "recall": [None if math.isnan(value) else value for value in evaluation.recall],
    }
    return [
        {"name": name} | dict(zip(columns, values, strict=True))
        for name, *values in zip(names, *columns.values(), strict=True)
    ]


def worst(classes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the classes with the lowest recall below 1, at most 10, the lowest first.

    Where classes have the same recall, the larger comes first.
    """
    missed = [row for row in classes if row["recall"] is not None and row["recall"] < 1]
    return sorted(missed, key=lambda row: (row["recall"], -row["images"]))[:WORST]


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    with atomic_write(path) as file:
        # A folder's name may hold bytes that aren't UTF-8, and be the name of a class or a run.
        file.write(page.encode(errors="backslashreplace"))
