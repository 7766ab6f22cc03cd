"""Runs side by side."""

import json
import statistics as numbers

from mnist_lit.report import figures
from mnist_lit.report.report import *
from mnist_lit.report.report import _embedded, _encoded, _png
from mnist_lit.runs import metrics
from mnist_lit.templating import template


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
    everything = {str(run): metrics.read(run) for run in runs}
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
