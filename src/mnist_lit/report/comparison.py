"""Runs side by side: curves, settings that differ, results."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.colours import STYLES
from mnist_lit.errors import InputError
from mnist_lit.report import figures, history
from mnist_lit.report.report import embedded, write_page
from mnist_lit.report.style import png, styled
from mnist_lit.runs import metrics, summary
from mnist_lit.runs.run import Run, leaves
from mnist_lit.templating import template

# What a run was started by, which says nothing about its training. The data set that was really
# used is named in a column of its own, and decides, not `data.source`.
OF_THE_START = {"name", "ckpt_path", "runs", "weights", "data.source", "data.data_dir"}


def compare(runs: Sequence[Run], output: Path) -> list[dict[str, Any]]:
    """Write a page that shows runs side by side.

    Args:
        runs: The runs.
        output: The page.

    Returns:
        For each group of runs whose data, settings and versions agree and whose seeds differ: `n`,
        and the `mean` and standard deviation `sd` of their test accuracy.

    Raises:
        InputError: A run has no metrics.
    """
    rows = {str(run): metrics.read(run) for run in runs}
    settings = [settings_of(run) for run in runs]
    results = [
        {
            "run": str(run),
            "dataset": dataset_of(run),
            "epochs": len(rows[str(run)]),
            "best": history.best_epoch(rows[str(run)]),
            "summary": summary.read(run),
        }
        for run in runs
    ]
    means = list(groups(results, settings))
    pictures = {}
    for style in STYLES:
        with styled(style) as colours:
            pictures[style] = png(figures.compared(rows, colours))
    page = template("compare.html").render(
        results=results, differing=differing(settings), means=means, figure=embedded(pictures)
    )
    write_page(output, page)
    return means


def settings_of(run: Run) -> dict[str, Any]:
    """Return a run's settings by dotted names, without those that say how it was started."""
    return {name: value for name, value in leaves(run.read_config()) if name not in OF_THE_START}


def dataset_of(run: Run) -> str | None:
    """Return the data set that a run really used; None where it has left nothing that says so."""
    if done := summary.read(run):
        return str(done["dataset"])
    try:
        return checkpoints.read(run.last).dataset
    except InputError:
        return None


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings in which runs differ, with each run's value."""
    names = dict.fromkeys(name for values in settings for name in values)
    columns = {name: [values.get(name) for values in settings] for name in names}
    return {name: values for name, values in columns.items() if len(set(map(repr, values))) > 1}


def groups(
    results: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield mean and standard deviation of finished runs that differ in nothing but the seed."""
    found: dict[str, dict[int, float]] = {}
    for result, values in zip(results, settings, strict=True):
        if done := result["summary"]:
            same = {name: value for name, value in values.items() if name != "seed_everything"}
            key = repr((result["dataset"], same, done["versions"]))
            found.setdefault(key, {})[done["seed"]] = done["last"]["test_accuracy"]
    for accuracies in found.values():
        if len(accuracies) > 1:
            mean = statistics.mean(accuracies.values())
            sd = statistics.stdev(accuracies.values())
            yield {"n": len(accuracies), "mean": mean, "sd": sd}
