"""A run's figures and its report, one page that needs nothing but itself."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.colours import STYLES, Colours
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError, RunError
from mnist_lit.evaluation import Answers, Evaluation, evaluate
from mnist_lit.files import atomic_write
from mnist_lit.network.inference import feature_maps, log_probabilities
from mnist_lit.network.network import Network
from mnist_lit.report import figures, history, network_figures
from mnist_lit.report.style import png, styled
from mnist_lit.runs import metrics, summary
from mnist_lit.runs.metrics import COLUMNS
from mnist_lit.runs.run import Run
from mnist_lit.templating import template

LISTED = 20  # classes that are listed openly; of more, the worst are
WORST = 10
Rows = Sequence[Mapping[str, Any]]
Draw = Callable[[Colours], Figure]


class Result(NamedTuple):
    """What a checkpoint of the run reaches on the test images."""

    name: str
    epoch: int
    answers: Answers

    @property
    def test_accuracy(self) -> float:
        return self.answers.accuracy


def write(
    run: Run,
    answers: Mapping[str, Answers] | None = None,
    *,
    data: MNISTDataModule | None = None,
    style: str = "light",
) -> dict[str, bytes]:
    """Draw every figure of a run into its folder and write `report.html`.

    A run that was stopped gets a report of what it left.

    Args:
        run: The run.
        answers: The answers of its checkpoints `best` and `last` to the test images, where they are
            known; by default the checkpoints are evaluated.
        data: Where its test images come from; by default what its configuration says.
        style: `light` or `dark`, for the PNG files. The page follows its reader.

    Returns:
        The PNG files by name.

    Raises:
        InputError: The run has no metrics.
    """
    rows = metrics.read(run)
    if not rows:
        raise InputError(run.folder, "has no finished epoch", "resume it first")
    draw: dict[str, Draw] = {"curves": lambda colours: figures.curves(rows, colours)}
    facts: dict[str, Any] = {"dataset": None, "names": [], "missing": None, "odd": []}
    results: list[Result] = []
    chosen = run.best if run.best.is_file() else run.last
    if chosen.is_file():
        checkpoint = checkpoints.read(chosen)
        facts |= {"dataset": checkpoint.dataset, "names": checkpoint.class_names}
        network = checkpoint.build()
        draw |= _network_figures(network)
        try:
            results, facts["odd"] = _results(run, checkpoint, answers or {}, data)
        except (RunError, InputError) as error:
            facts["missing"] = str(error)
    found = evaluate(results[0].answers) if results else None
    if found:
        draw |= _answer_figures(network, results[0].answers, found, facts["names"])
    drawn = _drawn(draw)
    for name, pictures in drawn.items():
        with atomic_write(run.folder / "figures" / f"{name}.png") as file:
            file.write(pictures[style])
    page = _page(run, rows, results, found, facts, drawn)
    write_page(run.report, page)
    return {name: pictures[style] for name, pictures in drawn.items()}


def _network_figures(network: Network) -> dict[str, Draw]:
    draw: dict[str, Draw] = {
        "architecture": lambda colours: network_figures.architecture(network.layers, colours)
    }
    if first := network_figures.first_filters(network):
        draw["filters"] = lambda colours: network_figures.filters(first)
    return draw


def _answer_figures(
    network: Network, answers: Answers, found: Evaluation, names: Sequence[str]
) -> dict[str, Draw]:
    draw: dict[str, Draw] = {
        "confusion-matrix": lambda colours: figures.confusion(found.confusion, names, colours),
        "worst-errors": lambda colours: figures.worst_errors(answers, names),
    }
    image = answers.images[0]
    if maps := feature_maps(network, image):
        draw["feature-maps"] = lambda colours: network_figures.feature_maps(image, maps)
    return draw


def _results(
    run: Run, chosen: Checkpoint, known: Mapping[str, Answers], data: MNISTDataModule | None
) -> tuple[list[Result], list[str]]:
    """Return what the checkpoints reach, the chosen one first, and what is odd about the data.

    A last epoch that is also the best has one result.
    """
    found: list[Result] = []
    images, labels, odd = (
        (None, None, list(data.dataset.odd)) if known and data else _test_images(chosen, data)
    )
    for path in dict.fromkeys((chosen.path, run.last)):
        checkpoint = checkpoints.read(path)
        if found and found[0].epoch == checkpoint.epoch + 1:
            continue
        answers = known.get(path.stem)
        if answers is None:
            if images is None or labels is None:
                images, labels, _ = _test_images(chosen, data)
            log = log_probabilities(checkpoint.build(), images)
            answers = Answers(images[:, 0].numpy(), labels.numpy(), log.numpy())
        found.append(Result(path.stem, checkpoint.epoch + 1, answers))
    return found, odd


def _test_images(
    checkpoint: Checkpoint, data: MNISTDataModule | None
) -> tuple[Tensor, Tensor, list[str]]:
    """Return the run's test images with their labels, and what is odd about its data."""
    if data is None:
        data = MNISTDataModule(**datasets.options_of(checkpoint))
    data.prepare_data()
    data.setup("test")
    if data.name != checkpoint.dataset:
        raise InputError(
            checkpoint.path,
            f"was trained on {checkpoint.dataset}, and {data.name} was given",
            "give its own data",
        )
    test, odd = data.splits["test"], list(data.dataset.odd)
    if datasets.has_changed(data.dataset, checkpoint):
        odd.append("it has changed since: test pictures may be among those trained on")
    return test.images, test.labels, odd


def _drawn(draw: Mapping[str, Draw]) -> dict[str, dict[str, bytes]]:
    """Return each figure as a PNG file, by name and style."""
    drawn: dict[str, dict[str, bytes]] = {name: {} for name in draw}
    for style in STYLES:
        with styled(style) as colours:
            for name, make in tqdm(draw.items(), f"drawing, {style}", leave=False, disable=None):
                drawn[name][style] = png(make(colours))
    return drawn


def _page(
    run: Run,
    rows: Rows,
    results: Sequence[Result],
    found: Evaluation | None,
    facts: Mapping[str, Any],
    drawn: Mapping[str, Mapping[str, bytes]],
) -> str:
    classes = class_rows(found, facts["names"]) if found else []
    return template("report.html").render(
        facts,
        run=str(run),
        sample=facts["dataset"] == sample.NAME,
        rows=rows,
        columns=COLUMNS,
        best=history.best_epoch(rows),
        parting=history.parting(rows),
        stopped=history.early_stop(rows),
        patience=history.PATIENCE,
        results=results,
        summary=summary.read(run),
        found=found,
        classes=classes,
        worst=worst(classes) if len(classes) > LISTED else [],
        listed=LISTED,
        config=yaml.safe_dump(run.read_config(), sort_keys=False, allow_unicode=True),
        figures={name: embedded(pictures) for name, pictures in drawn.items()},
    )


def class_rows(found: Evaluation, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return each class's name, images, precision and recall; None where there is no such share."""
    columns = {
        "images": found.confusion.sum(1).tolist(),
        "precision": [None if math.isnan(value) else value for value in found.precision],
        "recall": [None if math.isnan(value) else value for value in found.recall],
    }
    return [
        {"name": name} | dict(zip(columns, values, strict=True))
        for name, *values in zip(names, *columns.values(), strict=True)
    ]


def worst(classes: Rows) -> Rows:
    """Return the classes with the lowest recall, at most 10, the lowest first.

    Among classes with the same recall the larger comes first.
    """
    missed = [row for row in classes if row["recall"] is not None and row["recall"] < 1]
    return sorted(missed, key=lambda row: (row["recall"], -row["images"]))[:WORST]


def embedded(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Return PNG files by style as addresses that hold them."""
    return {
        style: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for style, content in pictures.items()
    }


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    with atomic_write(path) as file:
        # A folder's name may hold bytes that aren't UTF-8, and be a class's or a run's name.
        file.write(page.encode(errors="backslashreplace"))
