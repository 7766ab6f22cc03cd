"""A run's figures and its report, one page that needs nothing but itself."""

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from mnist_lit import evaluation
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError, RunError
from mnist_lit.evaluation import unbalanced
from mnist_lit.files import atomic_write
from mnist_lit.network import inference
from mnist_lit.report import figures
from mnist_lit.runs import metrics
from mnist_lit.runs.metrics import COLUMNS
from mnist_lit.runs.run import Run
from mnist_lit.templating import template

PATIENCE = 5  # of the early stopping whose saving the report tells
LISTED = 20  # classes that are listed openly; of more, the worst are
WORST = 10
Rows = Sequence[Mapping[str, Any]]


def write(
    run: Run,
    answers: Mapping[str, evaluation.Answers] | None = None,
    *,
    data: MNISTDataModule | None = None,
    style: str = "light",
) -> dict[str, bytes]:
    """Draw every figure of a run into its folder and write `report.html`.

    What the run has not come to is left out: a run that was killed has a report of what it left.

    Args:
        run: The run.
        data: Where its test images come from; by default what its configuration says.
        style: `light` or `dark`, for the PNG files. The page follows its reader.

    Returns:
        The PNG files by name.

    Raises:
        InputError: The run has no metrics.
    """
    rows = metrics.read(run)
    if not rows:
        raise InputError(f"{run} has finished no epoch: there is nothing to report yet")
    summary = json.loads(run.summary.read_text("utf-8")) if run.summary.is_file() else None
    draw: dict[str, Callable[[figures.Style], Figure]] = {
        "curves": lambda s: figures.curves(rows, s)
    }
    results: list[dict[str, Any]] = []
    found, statistics, missing = None, None, None
    odd: list[str] = []
    names: list[str] = []
    classes: list[dict[str, Any]] = []
    chosen = run.best if run.best.is_file() else run.last
    dataset = None
    if chosen.is_file():
        checkpoint = checkpoints.read(chosen)
        network = checkpoint.build()
        dataset, names = checkpoint.dataset, checkpoint.class_names
        draw["architecture"] = lambda s: figures.architecture(
            [(l.name, l.kind, l.shape, l.parameters) for l in network.layers], s
        )
        first = next(iter(network.parameters())).detach().numpy()
        draw["filters"] = lambda s: figures.filters(first, s)
        try:
            images, labels, odd = _test_images(run, chosen, data)
        except (RunError, InputError) as error:
            missing = str(error)
        else:
            for path in dict.fromkeys((chosen, run.last)):
                epoch = checkpoints.read(path).epoch + 1
                if results and results[0]["epoch"] == epoch:
                    continue  # the best is the last
                other = checkpoints.read(path).build()
                its = evaluation.Answers(
                    images[:, 0].numpy(),
                    labels.numpy(),
                    inference.log_probabilities(other, images).numpy(),
                )
                found = found or its
                results.append({"name": path.stem, "epoch": epoch, "test_accuracy": its.accuracy})
                results[-1]["row"] = next((row for row in rows if row["epoch"] == epoch), None)
            assert found is not None
            answered = found
            statistics = evaluation.evaluate(answered)
            counts = statistics.confusion
            classes = class_rows(statistics, names)
            maps = inference.feature_maps(network, answered.images[0])
            draw["confusion-matrix"] = lambda s: figures.confusion(counts, names, s)
            draw["worst-errors"] = lambda s: figures.worst_errors(
                answered.images, answered.labels, answered.probabilities, names, s
            )
            draw["feature-maps"] = lambda s: figures.feature_maps(answered.images[0], maps, s)
    drawn: dict[str, dict[str, bytes]] = {name: {} for name in draw}
    for which in figures.STYLES:
        with figures.styled(which) as colours:
            for name, make in tqdm(draw.items(), f"drawing, {which}", leave=False, disable=None):
                drawn[name][which] = _png(make(colours))
    for name, pictures in drawn.items():
        with atomic_write(run.folder / "figures" / f"{name}.png") as file:
            file.write(pictures[style])
    page = template("report.html").render(
        run=str(run),
        dataset=dataset,
        sample=dataset == sample.NAME,
        rows=rows,
        columns=COLUMNS,
        best=figures.best_epoch(rows),
        parting=figures.parting(rows),
        stopped=early_stop(rows),
        patience=PATIENCE,
        results=results,
        summary=summary,
        statistics=statistics,
        unbalanced=unbalanced([row["images"] for row in classes]),
        names=names,
        classes=classes,
        worst=worst(classes) if len(classes) > LISTED else [],
        listed=LISTED,
        missing=missing,
        odd=odd,
        n_test=len(found.labels) if found else 0,
        config=yaml.safe_dump(run.read_config(), sort_keys=False, allow_unicode=True),
        figures={name: _embedded(pictures) for name, pictures in drawn.items()},
    )
    with atomic_write(run.folder / "report.html") as file:
        file.write(_encoded(page))
    return {name: pictures[style] for name, pictures in drawn.items()}


def _test_images(
    run: Run, checkpoint: Path, data: MNISTDataModule | None
) -> tuple[Tensor, Tensor, list[str]]:
    """Return the run's test images with their labels, and what is odd about its data."""
    content = checkpoints.read(checkpoint)
    dataset = content.dataset
    if data is None:
        data = MNISTDataModule(**datasets.options_of(content))
    data.prepare_data()
    data.setup("test")
    if data.name != dataset:
        raise InputError(f"the run is one of {dataset}, and {data.name} was given")
    test, odd = data.splits["test"], list(data.dataset.odd)
    if datasets.has_changed(data.dataset, content):
        odd.append("it has changed since: test pictures may be among those trained on")
    return test.images, test.labels, odd


def class_rows(statistics: evaluation.Evaluation, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return of each class its name, images, precision and recall; None is what cannot be told."""
    columns = {
        "images": statistics.confusion.sum(1).tolist(),
        "precision": [None if math.isnan(value) else value for value in statistics.precision],
        "recall": [None if math.isnan(value) else value for value in statistics.recall],
    }
    return [
        {"name": name} | dict(zip(columns, values, strict=True))
        for name, *values in zip(names, *columns.values(), strict=True)
    ]


def worst(classes: Rows) -> Rows:
    """Return the classes of which most was misread, at most 10: the lowest recall first.

    Of classes with the same recall the larger comes first.
    """
    missed = [row for row in classes if row["recall"] is not None and row["recall"] < 1]
    return sorted(missed, key=lambda row: (row["recall"], -row["images"]))[:WORST]


def early_stop(rows: Rows) -> dict[str, Any] | None:
    """Return where early stopping would have ended, and the epochs and seconds it would have saved.

    None where it would not have, or where nothing was validated.
    """
    lowest, waited = math.inf, 0
    for i, row in enumerate(rows):
        if row["val_loss"] is None:
            return None
        lowest, waited = (row["val_loss"], 0) if row["val_loss"] < lowest else (lowest, waited + 1)
        if waited == PATIENCE and rows[i + 1 :]:
            rest = rows[i + 1 :]
            saved = sum(later["seconds"] for later in rest)
            return {"epoch": row["epoch"], "epochs": len(rest), "seconds": saved}
    return None


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=figures.DPI)
    return content.getvalue()


def _encoded(page: str) -> bytes:
    # A folder's name may hold bytes that are no UTF-8, and be a class's or a run's name.
    return page.encode(errors="backslashreplace")


def _embedded(pictures: Mapping[str, bytes]) -> dict[str, str]:
    return {
        style: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for style, content in pictures.items()
    }
