"""A run's figures and its report, one page that needs nothing but itself."""

import base64
import csv
import io
import json
import math
import statistics as numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from mnist_lit import environment as process
from mnist_lit import evaluation
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError, RunError
from mnist_lit.evaluation import unbalanced
from mnist_lit.files import atomic_write
from mnist_lit.network.network import layers
from mnist_lit.report import figures
from mnist_lit.runs.run import COLUMNS, Run, newest
from mnist_lit.templating import template

PATIENCE = 5  # of the early stopping whose saving the report tells
LISTED = 20  # classes that are listed openly; of more, the worst are
WORST = 10
Rows = Sequence[Mapping[str, Any]]


def rows_of(run: Run) -> list[dict[str, Any]]:
    """Return the rows of `metrics.csv` as numbers; what was not measured is None.

    Raises:
        InputError: The run has no such file, or it is damaged.
    """
    try:
        with run.metrics.open(newline="", encoding="utf-8") as file:
            rows = [
                {name: float(row[name]) if row[name] else None for name in COLUMNS}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run.metrics} cannot be read: name a folder that `fit` made") from error
    return [row | {"epoch": int(row["epoch"] or 0)} for row in rows]


def write(
    run: Run, data: MNISTDataModule | None = None, *, style: str = "light"
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
    rows = rows_of(run)
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
        network, values = checkpoints.load_network(chosen)
        dataset, names = values["dataset"], values["class_names"]
        draw["architecture"] = lambda s: figures.architecture(layers(network), s)
        first = next(iter(network.parameters())).detach().numpy()
        draw["filters"] = lambda s: figures.filters(first, s)
        try:
            images, labels, odd = _test_images(run, chosen, data)
        except (RunError, InputError) as error:
            missing = str(error)
        else:
            for path in dict.fromkeys((chosen, run.last)):
                epoch = checkpoints.read(path)["epoch"] + 1
                if results and results[0]["epoch"] == epoch:
                    continue  # the best is the last
                other, _ = checkpoints.load_network(path)
                its = evaluation.answers(other, images, labels)
                found = found or its
                results.append({"name": path.stem, "epoch": epoch, "test_accuracy": its.accuracy})
                results[-1]["row"] = next((row for row in rows if row["epoch"] == epoch), None)
            assert found is not None
            answers = found
            statistics = evaluation.statistics(answers)
            counts = statistics.confusion
            classes = class_rows(statistics, names)
            maps = evaluation.feature_maps(network, answers.images[0])
            draw["confusion-matrix"] = lambda s: figures.confusion(counts, names, s)
            draw["worst-errors"] = lambda s: figures.worst_errors(*answers, names, s)
            draw["feature-maps"] = lambda s: figures.feature_maps(answers.images[0], maps, s)
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
    dataset = content["hyper_parameters"]["dataset"]
    if data is None:
        data = MNISTDataModule(**datasets.recorded_options(content))
    data.prepare_data()
    data.setup("test")
    if data.name != dataset:
        raise InputError(f"the run is one of {dataset}, and {data.name} was given")
    test, odd = data.splits["test"], list(data.dataset.odd)
    if datasets.has_changed(data.dataset, content):
        odd.append("it has changed since: test pictures may be among those trained on")
    return test.images, test.labels, odd


def class_rows(statistics: evaluation.Statistics, names: Sequence[str]) -> list[dict[str, Any]]:
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


def compare(runs: Sequence[Run], output: Path) -> list[dict[str, Any]]:
    """Write a page that shows runs side by side: curves, settings that differ, results.

    Args:
        runs: The runs.
        output: The page.

    Returns:
        The groups of runs that differ in nothing but the seed, with mean and standard deviation of
        their test accuracy.

    Raises:
        InputError: A run has no metrics.
    """
    everything = {str(run): rows_of(run) for run in runs}
    settings = {str(run): dict(_leaves(run.read_config())) for run in runs}
    for values in settings.values():
        for name in ("name", "ckpt_path"):
            values.pop(name, None)
    keys = list(dict.fromkeys(key for values in settings.values() for key in values))
    differing = {
        key: [values.get(key) for values in settings.values()]
        for key in keys
        if len({repr(values.get(key)) for values in settings.values()}) > 1
    }
    results = []
    groups: dict[str, list[float]] = {}
    for run in runs:
        done = json.loads(run.summary.read_text("utf-8")) if run.summary.is_file() else None
        rows = everything[str(run)]
        best = figures.best_epoch(rows)
        results.append({"run": str(run), "epochs": len(rows), "best": best, "summary": done})
        others = {k: v for k, v in settings[str(run)].items() if k != "seed_everything"}
        if done:
            groups.setdefault(repr(others), []).append(done["last"]["test_accuracy"])
    means = [
        {"n": len(values), "mean": numbers.mean(values), "sd": numbers.stdev(values)}
        for values in groups.values()
        if len(values) > 1
    ]
    pictures = {}
    for style in figures.STYLES:
        with figures.styled(style) as colours:
            pictures[style] = _png(figures.compared(everything, colours))
    page = template("compare.html").render(
        results=results, differing=differing, means=means, figure=_embedded(pictures)
    )
    with atomic_write(output) as file:
        file.write(_encoded(page))
    return means


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def command(args: list[str]) -> int:
    """Draw a run's figures again and write its report, or a page that compares runs."""
    process.quiet()
    parser = Parser(prog="python -m mnist_lit report", description="")
    parser.add_argument(
        "run", nargs="?", type=str | None, help="a run's folder (default: the newest)"
    )
    parser.add_argument(
        "--style", choices=list(figures.STYLES), default="light", help="of the PNGs"
    )
    parser.add_argument(
        "--compare", nargs="+", type=str, help="folders of runs to show side by side"
    )
    parser.add_argument(
        "--output", type=str | None, help="the page of --compare (runs/compare.html)"
    )
    parser.add_lightning_class_args(MNISTDataModule, "data")
    options = parser.parse_args(args)
    root = Path("runs")
    if options.compare:
        folders = {Path(folder).resolve() for folder in options.compare}
        if options.run or len(options.compare) < 2:
            raise InputError("--compare takes the folders of two runs or more, and no other")
        if len(folders) < len(options.compare):
            raise InputError("--compare names a run twice, which would count as another seed")
        output = Path(options.output or root / "compare.html")
        if output.suffix != ".html":
            raise InputError(f"--output {output} must be a file that ends in .html")
        for group in compare([_run(folder) for folder in options.compare], output):
            print(f"{group['n']} runs differ in the seed alone:", end=" ")
            print(f"test accuracy {group['mean']:.4f} ± {group['sd']:.4f}")
        print(output)
        return 0
    if options.output:
        raise InputError("--output names the page of --compare; a report lies in its run's folder")
    run = _run(options.run) if options.run else newest(root)
    explicit = parser.parse_args(args, defaults=False).as_dict().get("data")
    data = None
    if explicit:
        config = {"config": run.read_config()}
        data = MNISTDataModule(**datasets.recorded_options(config, explicit))
    write(run, data, style=options.style)
    print(run.folder / "report.html")
    return 0


def _run(folder: str) -> Run:
    run = Run(Path(folder))
    if not run.config.is_file():
        raise InputError(f"{folder} is no run: give a folder such as runs/mnist/version_0")
    return run
