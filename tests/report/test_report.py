"""`report`: what the page says, and what a browser makes of it."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers import SHORT, Command
from mnist_lit import Network, evaluation
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import InputError
from mnist_lit.report import figures, report
from mnist_lit.runs.run import Run

RUN = Path("runs/mnist/version_0")
PAGE = RUN / "report.html"
NAMES = {"architecture", "confusion-matrix", "curves", "feature-maps", "filters", "worst-errors"}


def size(path: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


def row(epoch: int, val_loss: float | None, train_loss: float = 0.5) -> dict[str, Any]:
    others = {"train_accuracy": 0.5, "val_accuracy": val_loss, "lr": 1e-3}
    return {
        "epoch": epoch, "val_loss": val_loss, "train_loss": train_loss, "seconds": 10.0, **others
    }  # fmt: skip


def test_early_stop() -> None:
    losses = [0.5, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.1]
    rows = [row(i, loss) for i, loss in enumerate(losses, 1)]
    assert report.early_stop(rows) == {"epoch": 7, "epochs": 2, "seconds": 20.0}
    assert report.early_stop(rows[:7]) is None  # it ended there anyway
    assert report.early_stop(rows[:4]) is None
    assert report.early_stop([row(1, None)]) is None


def test_fit_writes_it(command: Command) -> None:
    answer = command("fit", *SHORT, "--trainer.max_epochs", 3)
    assert (answer.code, answer.err) == (0, "")
    assert f"see   {PAGE}" in answer.out
    assert {path.stem for path in (RUN / "figures").iterdir()} == NAMES
    for path in (RUN / "figures").iterdir():
        assert min(size(path)) > 400
    text = PAGE.read_text("utf-8")
    summary = json.loads((RUN / "summary.json").read_text())
    assert "This is not MNIST but mnist-sample-5k" in text
    assert f"{summary['best']['test_accuracy']:.4f}" in text
    assert f"On validation it is epoch <strong>{summary['best_epoch']}</strong> of 3" in text
    assert "batch_size: 32" in text and f"seed {summary['seed']}" in text
    assert re.findall(r"(?:src|href)=\"(?!data:image/png;base64,)", text) == []
    # TensorBoard shows the same files.
    events = EventAccumulator(str(RUN), size_guidance={"images": 0}).Reload()
    assert set(events.Tags()["images"]) == NAMES
    shown = events.Images("curves")[0].encoded_image_string
    assert shown == (RUN / "figures" / "curves.png").read_bytes()


@pytest.fixture
def trained(command: Command, monkeypatch: pytest.MonkeyPatch) -> Run:
    with monkeypatch.context() as patch:
        patch.setattr(report, "write", lambda run, data=None: {})
        command("fit", *SHORT, "--trainer.max_epochs", 2)
    assert not PAGE.exists()
    return Run(RUN)


def test_worst_classes() -> None:
    counts = [4, 10, 0, 20, *[5] * 30]
    right = [4, 5, 0, 10, *[4] * 30]
    confusion = np.diag(right)
    confusion[:, 0] += np.array(counts) - right
    recall = np.array([r / n if n else np.nan for r, n in zip(right, counts, strict=True)])
    statistics = evaluation.Statistics(confusion, recall, recall, 0.5, 0.1, [])
    classes = report.class_rows(statistics, [f"class {i}" for i in range(34)])
    assert classes[1] == {"name": "class 1", "images": 10, "precision": 0.5, "recall": 0.5}
    assert classes[2] == {"name": "class 2", "images": 0, "precision": None, "recall": None}
    found = [row["name"] for row in report.worst(classes)]
    assert found == ["class 3", "class 1", *(f"class {i}" for i in range(4, 12))]
    assert report.worst(classes[:1]) == []  # all right


@pytest.fixture
def said(trained: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the text of a report on rows and, where classes are named, answers to their images."""
    monkeypatch.setattr(report, "_png", lambda figure: b"")  # which takes a second

    def write(
        rows: list[dict[str, Any]], names: list[str] | None = None, counts: list[int] | None = None
    ) -> str:
        monkeypatch.setattr(report, "rows_of", lambda run: rows)
        if names is None or counts is None:
            trained.best.unlink()
            trained.last.unlink()
        else:
            network = Network(len(names)).eval()
            values = {"dataset": "pictures", "class_names": names}
            monkeypatch.setattr(checkpoints, "load_network", lambda path: (network, values))
            best = figures.best_epoch(rows) or 0
            epochs = {trained.best: best, trained.last: len(rows)}
            monkeypatch.setattr(checkpoints, "read", lambda path: {"epoch": epochs[path] - 1})
            labels = torch.arange(len(names)).repeat_interleave(torch.tensor(counts))
            images = torch.randint(0, 256, (len(labels), 1, 28, 28), dtype=torch.uint8)
            monkeypatch.setattr(report, "_test_images", lambda *args: (images, labels, []))
        report.write(trained)
        return re.sub(r"\s+", " ", PAGE.read_text("utf-8"))

    return write


def test_one_epoch(said: Callable[..., str]) -> None:
    text = said([row(1, 0.6)], ["a", "b"], [1, 1])
    assert "There is only one: its loss on validation is 0.6000, and its accuracy on test" in text
    assert "<summary>1 row</summary>" in text
    assert text.count("<dt>test accuracy") == 1  # the best is the last
    for wrong in ("more epoch", "Early stopping", "stays above", "by heart"):
        assert wrong not in text


def test_best_epoch_that_is_the_last(said: Callable[..., str]) -> None:
    text = said([row(1, 0.9), row(2, 0.8)], ["a", "b"], [1, 1])
    assert "On validation it is epoch <strong>2</strong> of 2" in text
    assert "It is also the last, with" in text and text.count("<dt>test accuracy") == 1
    assert "From epoch 1 on the validation loss stays above the training loss, yet" in text
    assert "no longer others" not in text
    assert "Early stopping" not in text  # two epochs are no more than its patience


def test_best_epoch_before_the_last(said: Callable[..., str]) -> None:
    text = said([row(1, 0.6), row(2, 0.7)], ["a", "b"], [1, 1])
    assert "points for 1 more epoch." in text and text.count("<dt>test accuracy") == 2
    assert "learning its own images and no longer others" in text


@pytest.mark.parametrize(
    ("losses", "part"),
    [
        ([1, *[2] * 6], "after epoch 6, with the same best epoch, and saved 1 epoch, 10 s"),
        ([1, *[2] * 5, 0.9, 3], "after epoch 6, before the best, and saved 2 epochs, 20 s"),
        ([7, 6, 5, 4, 3, 2, 1], "with a patience of 5 epochs would have saved nothing"),
    ],
)
def test_what_is_said_of_early_stopping(
    said: Callable[..., str], losses: list[float], part: str
) -> None:
    assert part in said([row(i, loss) for i, loss in enumerate(losses, 1)])


STRANGE = ["<b>x</b>", "أرنب", "$x$", "x\udc80", "\ue000", "a" * 200]


@pytest.mark.parametrize("n", [20, 47])
def test_classes(said: Callable[..., str], browser: Browser, n: int) -> None:
    names = STRANGE + [f"class {i}" for i in range(6, n)]
    text = said([row(1, 0.6)], names, [9, *[4] * (n - 1)])
    assert "<b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text and r"x\udc80" in text
    assert "<dt>balanced accuracy, best epoch (1)</dt>" in text
    assert "mean of the classes’ recalls" in text
    tab, _ = opened(browser, PAGE, "light", 390)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tables = [table.count() for table in class_tables(tab)]
    assert tables == ([20] if n == 20 else [10, 47])
    assert tab.locator("details").count() == (1 if n == 20 else 2)
    tab.close()


def class_tables(tab: Page) -> list[Locator]:
    tables = tab.locator("table").filter(has_text="precision").all()
    return [table.locator("tbody tr") for table in tables]


def test_balanced_classes_need_no_balanced_accuracy(said: Callable[..., str]) -> None:
    assert "balanced" not in said([row(1, 0.6)], ["a", "b"], [2, 4])


def test_command(command: Command, trained: Run) -> None:
    answer = command("report")
    assert (answer.code, answer.out, answer.err) == (0, f"{PAGE}\n", "")
    light = (RUN / "figures" / "curves.png").read_bytes()
    assert command("report", RUN, "--style", "dark").code == 0
    assert (RUN / "figures" / "curves.png").read_bytes() != light
    Path("elsewhere").mkdir()
    shutil.move(RUN, "elsewhere/moved")
    assert command("report", "elsewhere/moved").code == 0


def test_run_that_was_killed(command: Command, trained: Run) -> None:
    trained.summary.unlink()
    assert command("report").code == 0
    text = PAGE.read_text("utf-8")
    assert "this run has not ended" in text and "test accuracy, best epoch" in text


def test_without_validation(command: Command) -> None:
    options = ("--data.val_split", 0, "--trainer.max_epochs", 1)
    assert command("fit", *SHORT, *options).code == 0
    text = PAGE.read_text("utf-8")
    assert "Nothing was validated in this run" in text and "test accuracy, last epoch" in text


def test_without_the_test_images(
    command: Command, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> Any:
        raise InputError("MNIST is gone")

    monkeypatch.setattr(report, "_test_images", gone)
    assert command("report").code == 0
    text = PAGE.read_text("utf-8")
    assert "Without test figures: MNIST is gone" in text and "Confusion" not in text
    assert (RUN / "figures" / "architecture.png").is_file()


def test_fault_while_drawing_costs_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        raise ValueError("no ink")

    monkeypatch.setattr(figures, "curves", broken)
    answer = command("fit", *SHORT, "--trainer.max_epochs", 1)
    assert answer.code == 0 and answer.err == ""
    again = f"`python -m mnist_lit report {RUN}` tries again"
    assert f"warning: no report was drawn (no ink): {again}" in answer.out
    assert (RUN / "summary.json").is_file() and not PAGE.exists()


def test_wrong_input(command: Command, trained: Run) -> None:
    assert "is not a run" in command("report", "none").err
    assert "two runs or more" in command("report", "--compare", RUN).err
    twice = command("report", "--compare", RUN, RUN.absolute())
    assert twice.code == 2 and "names a run twice" in twice.err
    assert not Path("runs/compare.html").exists()
    other = Path("runs/mnist/version_1")
    shutil.copytree(RUN, other)
    assert "ends in .html" in command("report", "--compare", RUN, other, "--output", "x.txt").err
    shutil.rmtree(other)
    assert "--output names the page" in command("report", "--output", "x.html").err
    trained.metrics.write_text("epoch\nx\n")
    answer = command("report")
    assert answer.code == 2 and f"{trained.metrics} cannot be read" in answer.err
    trained.metrics.write_text("epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds\n")
    answer = command("report")
    assert answer.code == 2 and "has finished no epoch" in answer.err


def test_markup_in_a_configuration_is_text(command: Command, trained: Run) -> None:
    config = trained.config.read_text()
    trained.config.write_text(config.replace("name: mnist", "name: <script>alert(1)</script>"))
    assert command("report").code == 0
    assert "<script>" not in PAGE.read_text() and "&lt;script&gt;" in PAGE.read_text()


def test_compare(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda run, data=None: {})
    for seed in (0, 1, 2):
        options = ("--seed_everything", seed, "--name", "a", "--trainer.max_epochs", 1)
        command("fit", *SHORT, *options)
    command("fit", *SHORT, "--model.lr", 0.002, "--name", "b", "--trainer.max_epochs", 1)
    runs = [f"runs/a/version_{i}" for i in range(3)] + ["runs/b/version_0"]
    answer = command("report", "--compare", *runs)
    assert (answer.code, answer.err) == (0, "")
    last = [
        json.loads(Path(run, "summary.json").read_text())["last"]["test_accuracy"]
        for run in runs[:3]
    ]
    mean = sum(last) / 3
    sd = (sum((value - mean) ** 2 for value in last) / 2) ** 0.5
    assert f"3 runs differ in the seed alone: test accuracy {mean:.4f} ± {sd:.4f}" in answer.out
    text = Path("runs/compare.html").read_text("utf-8")
    assert "<td>model.lr</td><td>0.001</td><td>0.001</td><td>0.001</td><td>0.002</td>" in text
    assert "<td>seed_everything</td><td>0</td><td>1</td><td>2</td><td>0</td>" in text
    assert "data.batch_size" not in text


@pytest.mark.parametrize("page", ["report", "compare"])
def test_in_a_browser(command: Command, trained: Run, browser: Browser, page: str) -> None:
    if page == "report":
        assert command("report").code == 0
        file = PAGE
    else:
        shutil.copytree(RUN, "runs/mnist/other")
        assert command("report", "--compare", RUN, "runs/mnist/other").code == 0
        file = Path("runs/compare.html")
    grounds = set()
    for scheme in ("light", "dark"):
        for width in (390, 1280):
            tab, said = opened(browser, file, scheme, width)
            # The page itself and pictures inside it are all that is asked for.
            assert [line for line in said[1:] if not line.startswith("data:image/png")] == []
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            grounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            seen = tab.locator("img:visible")
            assert seen.count() == (len(NAMES) if page == "report" else 1)
            for i in range(seen.count()):
                assert seen.nth(i).get_attribute("class") == scheme
                assert seen.nth(i).evaluate("image => image.naturalWidth") > 400
                assert seen.nth(i).get_attribute("alt")
            tab.close()
    assert grounds == {"rgb(255, 255, 255)", "rgb(21, 25, 30)"}


def opened(browser: Browser, file: Path, scheme: Any, width: int) -> tuple[Page, list[str]]:
    """Open a file; return the page, and its requests, errors and console lines."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("request", lambda request: said.append(request.url[:40]))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.absolute().as_uri())
    return page, said
