"""Runs side by side, and which of them differ in nothing but the seed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mnist_lit.network.network import describe
from mnist_lit.report import figures, history
from mnist_lit.report.contents import Contents, gather, read
from mnist_lit.report.history import Rows
from mnist_lit.report.report import Drawing, draw_all, write_page
from mnist_lit.runs.run import Run, leaves
from mnist_lit.templating import template

# Settings that say where something lies or is written. Which data they led to is compared itself.
PLACES = {
    "name", "ckpt_path", "output", "runs", "trainer.default_root_dir", "data.dataset",
    "data.data_dir", "data.source",
}  # fmt: skip


class Group(NamedTuple):
    """Finished runs that differ in the seed alone, with their last epochs' test accuracy."""

    runs: list[Run]
    mean: float
    sd: float  # standard deviation over the runs


@dataclass(frozen=True)
class Entry:
    """A run as it is compared.

    Args:
        contents: What it has to report.
        settings: By dotted name, those that may change a result.
        accuracy: On the test images, by `best` and `last`, as far as it is known.
    """

    contents: Contents
    settings: dict[str, Any]
    accuracy: dict[str, float]

    @property
    def rows(self) -> Rows:
        return self.contents.rows

    @property
    def best_epoch(self) -> int | None:
        return history.best_epoch(self.rows)

    @property
    def parameters(self) -> int | None:
        """How many numbers the network learns; None where no checkpoint tells."""
        found = self.contents.checkpoint
        if found is None:
            return None
        layers = describe(
            found.network, len(found.class_names), found.image_size, large=found.is_large
        )
        return sum(layer.parameters for layer in layers)

    @property
    def seconds(self) -> float:
        total: float = sum(row["seconds"] for row in self.rows)
        return total

    @property
    def versions(self) -> dict[str, str]:
        """The versions of what a result depends on; none where the run isn't finished."""
        return dict(self.contents.summary["versions"]) if self.contents.summary else {}

    @property
    def configuration(self) -> str:
        """What runs have in common that differ in the seed alone."""
        others = {key: self.settings[key] for key in sorted(self.settings)}
        others.pop("seed_everything", None)
        checkpoint = self.contents.checkpoint
        fingerprint = checkpoint and checkpoint.fingerprint
        return repr((self.contents.dataset, fingerprint, others, self.versions))


def compare(runs: Sequence[Run], output: Path) -> tuple[list[Entry], list[Group]]:
    """Write a page that shows runs side by side: curves, results, settings that differ.

    Args:
        runs: The runs.
        output: The page.

    Returns:
        The runs as compared, and the groups of those that differ in the seed alone.

    Raises:
        InputError: A run has no metrics, or a damaged file.
    """
    entries = [_read(run) for run in runs]
    groups = group(entries)
    page = template("compare.html").render(
        entries=entries,
        datasets=list(dict.fromkeys(entry.contents.dataset for entry in entries)),
        differing=differing(entries),
        groups=groups,
        figure=_draw(entries),
    )
    write_page(output, page)
    return entries, groups


def _read(run: Run) -> Entry:
    """Read a run; one that hasn't ended shows what its own report shows."""
    contents = read(run)
    if contents.summary:
        tested = {name: contents.summary[name] for name in ("best", "last")}
        own = {name: found["test_accuracy"] for name, found in tested.items() if found}
    else:
        contents = gather(run)
        own = {result.name: result.test_accuracy for result in contents.results}
        if own:
            own.setdefault("last", own.get("best", 0.0))  # the best is the last
    return Entry(contents, _settings(contents), own)


def _settings(contents: Contents) -> dict[str, Any]:
    """Return by dotted name the settings that may change a result.

    What a resumed run's config spells out is what another run's leaves to its data: both are given
    as the checkpoint has them.
    """
    settings = dict(leaves(contents.run.read_config()))
    if checkpoint := contents.checkpoint:
        settings |= {
            "model.network": checkpoint.network.plain(),
            "model.dropout": None,  # which the network has
            "data.preprocessing": checkpoint.preprocessing,
            "data.image_size": checkpoint.image_size,
        }
    return {
        key: value for key, value in settings.items() if key not in PLACES and value is not None
    }


def differing(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Return the settings and versions that differ between runs, each with the runs' values."""
    settings = _table([entry.settings for entry in entries])
    found = {name: row for name, row in settings.items() if len(set(map(repr, row))) > 1}
    for name, row in _table([entry.versions for entry in entries]).items():
        if len(set(row) - {None}) > 1:  # those of an unfinished run aren't known
            found[f"version of {name}"] = row
    return found


def _table(values: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return by name each run's value, None where it has none."""
    names = dict.fromkeys(name for own in values for name in own)
    return {name: [own.get(name) for own in values] for name in names}


def group(entries: Sequence[Entry]) -> list[Group]:
    """Return the finished runs that differ in the seed alone, in groups of two or more.

    Where two have the same seed too, the first counts: the other is no further sample.
    """
    alike: dict[str, dict[int, Entry]] = {}
    for entry in entries:
        if entry.contents.summary:
            seeds = alike.setdefault(entry.configuration, {})
            seeds.setdefault(entry.settings["seed_everything"], entry)
    groups = []
    for seeds in alike.values():
        if len(seeds) > 1:
            values = [entry.accuracy["last"] for entry in seeds.values()]
            runs = [entry.contents.run for entry in seeds.values()]
            groups.append(Group(runs, statistics.mean(values), statistics.stdev(values)))
    return groups


def _draw(entries: Sequence[Entry]) -> dict[str, str]:
    runs = {str(entry.contents.run): entry.rows for entry in entries}
    drawing = Drawing(lambda colours, narrow: figures.compared(runs, colours, narrow=narrow))
    return draw_all({"curves": drawing})["curves"].shown
