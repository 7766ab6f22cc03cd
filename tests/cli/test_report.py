"""`report`, and the report at the end of `fit`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers import SHORT, Command
from mnist_lit.report import figures, report
from mnist_lit.runs.run import Run
from records import rows_of, write_run

RUN = Path("runs/mnist/version_0")
PAGE = RUN / "report.html"


def test_fit_writes_it(command: Command) -> None:
    answer = command("fit", *SHORT, "--trainer.max_epochs", 3)
    assert (answer.code, answer.err) == (0, "")
    assert f"see   {PAGE}" in answer.out
    text = PAGE.read_text("utf-8")
    summary = json.loads((RUN / "summary.json").read_text())
    assert f"{summary['best']['test_accuracy']:.4f}" in text
    assert f"Epoch <strong>{summary['best_epoch']}</strong> of 3" in text
    assert "batch_size: 32" in text and f"seed {summary['seed']}" in text
    # TensorBoard shows the same files.
    events = EventAccumulator(str(RUN), size_guidance={"images": 0}).Reload()
    drawn = {path.stem: path.read_bytes() for path in (RUN / "figures").iterdir()}
    assert set(events.Tags()["images"]) == drawn.keys()
    assert events.Images("curves")[0].encoded_image_string == drawn["curves"]
    # The command asks the networks again, and finds the same.
    assert command("report", "--style", "dark").out == f"{PAGE}\n"
    assert PAGE.read_text("utf-8") == text
    assert (RUN / "figures" / "curves.png").read_bytes() != drawn["curves"]


@pytest.mark.parametrize(
    ("error", "help"),
    [
        (ValueError("no ink"), f"`python -m mnist_lit report {RUN} --debug` shows what is wrong"),
        (OSError("no room"), "make room or fix the permissions, then `python -m mnist_lit report"),
        (ImportError("no font"), "`python -m mnist_lit doctor` says what is missing"),
    ],
    ids=["fault", "disk", "package"],
)
def test_fault_while_drawing_costs_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, help: str
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(figures, "curves", broken)
    answer = command("fit", *SHORT, "--trainer.max_epochs", 1)
    assert answer.code == 0
    (line,) = [line for line in answer.err.splitlines() if "no report was drawn" in line]
    assert f"no report was drawn ({error}): " in line and help in line
    assert (RUN / "summary.json").is_file() and not PAGE.exists()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run's records; figures are empty files, since drawing them takes seconds."""
    empty = report.Drawn(b"", {"light": "", "dark": ""})
    monkeypatch.setattr(report, "draw_all", lambda drawings, style: dict.fromkeys(drawings, empty))
    return write_run(RUN, rows_of(0.6, 0.7))


def test_run_that_was_moved(command: Command, written: Run) -> None:
    Path("elsewhere").mkdir()
    shutil.move(RUN, "elsewhere/moved")
    assert command("report", "elsewhere/moved").out == "elsewhere/moved/report.html\n"


def test_wrong_input(command: Command, written: Run) -> None:
    assert "is not a run" in command("report", "none").err
    assert "two runs or more" in command("report", "--compare", RUN).err
    twice = command("report", "--compare", RUN, RUN.absolute())
    assert twice.code == 2 and "names a run twice" in twice.err
    assert not Path("runs/compare.html").exists()
    other = Path("runs/mnist/version_1")
    shutil.copytree(RUN, other)
    assert ".html" in command("report", "--compare", RUN, other, "--output", "x.txt").err
    shutil.rmtree(other)
    assert "--output names the page" in command("report", "--output", "x.html").err
    written.metrics.write_text("epoch\nx\n")
    answer = command("report")
    assert answer.code == 2 and f"{written.metrics} cannot be read" in answer.err
    written.metrics.write_text("epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds\n")
    answer = command("report")
    assert answer.code == 2 and "has finished no epoch" in answer.err


def test_compare(command: Command, written: Run) -> None:
    for i in (1, 2):
        config = {"seed_everything": i}
        write_run(RUN.with_name(f"version_{i}"), rows_of(0.6), config=config, accuracy=0.5 + i / 10)
    write_run("runs/b/version_0", rows_of(0.6), config={"model.lr": 0.002})
    runs = [f"runs/mnist/version_{i}" for i in range(3)] + ["runs/b/version_0"]
    answer = command("report", "--compare", *runs)
    assert (answer.code, answer.err) == (0, "")
    assert "3 runs differ in the seed alone: test accuracy 0.6000 ± 0.1000" in answer.out
    assert answer.out.endswith("runs/compare.html\n")
    assert command("report", "--compare", "runs/mnist", "runs/b").out == answer.out
    table = [line.split() for line in answer.out.splitlines()[:5]]
    assert table[0] == ["run", "data", "parameters", "epochs", "seconds", "test_accuracy"]
    assert [(row[0], row[-3], row[-1]) for row in table[1:3]] == [
        (runs[0], "2", "0.5000"), (runs[1], "1", "0.6000"),
    ]  # fmt: skip
    text = Path("runs/compare.html").read_text("utf-8")
    assert "<td>model.lr</td><td>–</td><td>–</td><td>–</td><td>0.002</td>" in text
