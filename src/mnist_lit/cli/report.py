"""`report`: a run's figures and page again, or a page that compares runs."""

from pathlib import Path
from typing import Any

from mnist_lit import environment
from mnist_lit.cli import options
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.values import natural
from mnist_lit.errors import Argument, InputError, printable
from mnist_lit.report import comparison, report
from mnist_lit.runs import finding
from mnist_lit.runs.run import Run


def command(args: list[str]) -> int:
    """Draw a run's figures again and write its report, or a page that compares runs."""
    environment.quiet()
    parser = Parser.of("report")
    parser.add_argument("run", nargs="?", type=str, help="a run's folder (default: the newest)")
    options.add_runs(parser)
    options.add_style(parser)
    parser.add_argument(
        "--compare",
        nargs="+",
        type=str,
        metavar="RUN",
        help="folders of runs to show side by side; runs/NAME stands for all of that name",
    )
    parser.add_argument(
        "--output", type=str, metavar="FILE", help="the page of --compare (default: compare.html)"
    )
    parser.add_data()
    given = parser.parse_args(args)
    if given.compare:
        return _compare(given)
    if given.output:
        raise InputError(
            Argument("output"), "names the page of --compare", "a report lies in its run's folder"
        )
    run = _run(given.run) if given.run else finding.newest(Path(given.runs))
    report.write(run, data=_data(run, parser.given_data(args)), style=given.style)
    print(printable(str(run.report)))
    return 0


def _data(run: Run, explicit: dict[str, Any]) -> MNISTDataModule | None:
    """Return the data that the user gave instead of the run's own."""
    if not explicit:
        return None
    return MNISTDataModule(**datasets.options_of_config(run.read_config(), explicit))


def _compare(given: Any) -> int:
    runs = [run for folder in given.compare for run in _runs(Path(folder))]
    if given.run or len(runs) < 2:
        raise InputError("--compare", "takes the folders of two runs or more, and no other", "")
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise InputError("--compare", "names a run twice, which would count as another seed", "")
    output = options.output_file(given.output or str(Path(given.runs) / "compare.html"), (".html",))
    entries, groups = comparison.compare(runs, output)
    _print_table(entries)
    for group in groups:
        print(
            f"{len(group.runs)} runs differ in the seed alone: "
            f"test accuracy {group.mean:.4f} ± {group.sd:.4f}"
        )
    print(printable(str(output)))
    return 0


def _print_table(entries: list[comparison.Entry]) -> None:
    runs = [printable(str(entry.contents.run)) for entry in entries]
    data = [printable(str(entry.contents.dataset)) for entry in entries]
    first, second = max(map(len, ["run", *runs])), max(map(len, ["data", *data]))
    print(f"{'run':<{first}}  {'data':<{second}}  parameters  epochs  seconds  test_accuracy")
    for run, name, entry in zip(runs, data, entries, strict=True):
        parameters = f"{entry.parameters:,}" if entry.parameters else "-"
        accuracy = f"{entry.accuracy['last']:.4f}" if entry.accuracy else "-"
        print(
            f"{run:<{first}}  {name:<{second}}  {parameters:>10}  {len(entry.rows):>6}  "
            f"{entry.seconds:>7.0f}  {accuracy:>13}"
        )


def _runs(folder: Path) -> list[Run]:
    """Return the run in a folder, or the runs of a name by their numbers."""
    versions = [path.parent for path in folder.glob("version_*/config.yaml")]
    versions.sort(key=lambda path: natural(path.name))
    return [_run(str(path)) for path in versions or [folder]]


def _run(folder: str) -> Run:
    run = Run(Path(folder))
    if not run.config.is_file():
        raise InputError(folder, "is not a run", "give a folder such as runs/mnist/version_0")
    return run
