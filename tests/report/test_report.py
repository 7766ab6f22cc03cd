"""The report: what its page says, and what a browser makes of it."""

import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from mnist_lit.evaluation import Evaluation
from mnist_lit.report import comparison, report
from records import Row, answers, row, rows_of, write_run

RUN = Path("run")
PAGE = RUN / "report.html"
NAMES = {"architecture", "confusion-matrix", "curves", "feature-maps", "filters", "worst-errors"}


def size(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_figures() -> None:
    run = write_run(RUN, rows_of(0.6, 0.7))
    known = answers([3, 3])
    pictures = report.write(run, {"best": known, "last": known})
    assert pictures.keys() == NAMES
    for name, content in pictures.items():
        assert (RUN / "figures" / f"{name}.png").read_bytes() == content
        assert min(size(content)) > 200
    text = PAGE.read_text("utf-8")
    assert re.findall(r"(?:src|srcset)=\"(?!data:image/png;base64,)", text) == []
    assert re.findall(r"href=\"(?!#|data:image/png)", text) == []
    dark = report.write(run, {"best": known, "last": known}, style="dark")
    assert dark["curves"] != pictures["curves"]


EMPTY = report.Drawn(b"", {"light": "", "dark": ""})
NETWORKS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "dense": ({"network": ["Flatten", {"Linear": 5}, "Tanh", "Linear"]}, {"feature-maps"}),
    "64 pixels": ({"network": "small", "image_size": 64}, set()),
    "first weights on two channels": (
        {
            "network": [
                {"Conv2d": {"out_channels": 1, "kernel_size": 1}},
                {"MaxPool2d": 2},
                {"Conv2d": {"out_channels": 2, "kernel_size": 3}},
                "Flatten",
                "Linear",
            ]
        },
        set(),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_figures_of_any_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "png", lambda figure: b"")  # drawn, but not into pixels
    options, missing = NETWORKS[name]
    known = answers([3, 3], side=options.get("image_size", 28))
    run = write_run(RUN, rows_of(0.6), **options)
    assert report.write(run, {"best": known}).keys() == NAMES - missing


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take seconds."""
    monkeypatch.setattr(report, "draw_all", lambda drawings, style: dict.fromkeys(drawings, EMPTY))


@pytest.fixture
def said(without_figures: None) -> Callable[..., str]:
    """Return the text of a report on rows and, where classes are named, answers to their images."""

    def write(rows: list[Row], names: Sequence[str] = (), counts: Sequence[int] = ()) -> str:
        run = write_run(RUN, rows, names)
        best, last = answers(counts, seed=1), answers(counts, seed=2)
        report.write(run, {"best": best, "last": last})
        return re.sub(r"\s+", " ", PAGE.read_text("utf-8"))

    return write


def test_one_epoch(said: Callable[..., str]) -> None:
    text = said([row(1, 0.5, 0.6)], ["a", "b"], [1, 1])
    assert "There is only one. Its validation loss is 0.6000, its test accuracy" in text
    assert "<summary>1 row</summary>" in text
    assert text.count("<dt>test accuracy") == 1  # the best is the last
    for wrong in ("more epoch", "Early stopping", "stays above", "memorise"):
        assert wrong not in text


def test_best_epoch_that_is_the_last(said: Callable[..., str]) -> None:
    text = said(rows_of(0.9, 0.8), ["a", "b"], [1, 1])
    assert "Epoch <strong>2</strong> of 2" in text
    assert "It is also the last. Its test" in text and text.count("<dt>test accuracy") == 1
    assert "From epoch 1 on, the validation loss stays above the training loss, but" in text
    assert "no longer on others" not in text
    assert "Early stopping" not in text  # two epochs are no more than its patience


def test_best_epoch_before_the_last(said: Callable[..., str]) -> None:
    text = said(rows_of(0.6, 0.7), ["a", "b"], [1, 1])
    assert "points for 1 more epoch." in text and text.count("<dt>test accuracy") == 2
    assert "no longer on others" in text


@pytest.mark.parametrize(
    ("losses", "part"),
    [
        ([1, *[2] * 6], "after epoch 6, with the same best epoch, and saved 1 epoch, 10 s"),
        ([1, *[2] * 5, 0.9, 3], "after epoch 6, before the best one, and saved 2 epochs, 20 s"),
        ([7, 6, 5, 4, 3, 2, 1], "with a patience of 5 epochs would have saved nothing"),
    ],
)
def test_early_stopping(said: Callable[..., str], losses: list[float], part: str) -> None:
    assert part in said(rows_of(*losses))


def test_without_validation(said: Callable[..., str]) -> None:
    text = said([row(1, 0.5, None)], ["a", "b"], [1, 1])
    assert "Nothing was validated in this run" in text and "test accuracy, last epoch" in text


def test_run_that_was_stopped(without_figures: None) -> None:
    known = answers([2, 2])
    report.write(write_run(RUN, rows_of(0.6), finished=False), {"best": known})
    text = PAGE.read_text("utf-8")
    assert "the run isn’t finished" in text and "test accuracy, best epoch" in text


def test_without_the_test_images(without_figures: None) -> None:
    run = write_run(RUN, rows_of(0.6))  # the folder `pictures` isn't there
    assert report.write(run).keys() == {"curves", "architecture", "filters"}
    text = PAGE.read_text("utf-8")
    assert "There are no test metrics: pictures is not there" in text and "Confusion" not in text


def test_sample_is_not_mnist(without_figures: None) -> None:
    known = answers([2, 2])
    report.write(write_run(RUN, rows_of(0.6), dataset="mnist-sample-5k"), {"best": known})
    assert "This isn’t MNIST but mnist-sample-5k" in PAGE.read_text("utf-8")


def test_markup_in_a_configuration_is_text(without_figures: None) -> None:
    run = write_run(RUN, rows_of(0.6), names=(), config={"name": "<script>alert(1)</script>"})
    report.write(run)
    text = PAGE.read_text("utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_worst_classes() -> None:
    counts = [4, 10, 0, 20, *[5] * 30]
    right = [4, 5, 0, 10, *[4] * 30]
    confusion = np.diag(right)
    confusion[:, 0] += np.array(counts) - right
    recall = np.array([r / n if n else np.nan for r, n in zip(right, counts, strict=True)])
    evaluation = Evaluation(184, 139, 0.1, None, confusion, recall, recall, 0.1, [])
    classes = report.class_rows(evaluation, [f"class {i}" for i in range(34)])
    assert classes[1] == {"name": "class 1", "images": 10, "precision": 0.5, "recall": 0.5}
    assert classes[2] == {"name": "class 2", "images": 0, "precision": None, "recall": None}
    found = [row["name"] for row in report.worst(classes)]
    assert found == ["class 3", "class 1", *(f"class {i}" for i in range(4, 12))]
    assert report.worst(classes[:1]) == []  # all right


STRANGE = ["<b>x</b>", "أرنب", "$x$", "x\udc80", "\ue000", "a" * 200]


@pytest.mark.parametrize("n", [20, 47])
def test_classes(said: Callable[..., str], browser: Browser, n: int) -> None:
    names = STRANGE + [f"class {i}" for i in range(6, n)]
    text = said([row(1, 0.5, 0.6)], names, [9, *[4] * (n - 1)])
    assert "<b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text and r"x\udc80" in text
    assert "<dt>balanced accuracy, best epoch (1)</dt>" in text
    assert "mean of the classes’ recalls" in text
    tab, _ = opened(browser, PAGE, "light", 390)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert [table.count() for table in class_tables(tab)] == ([20] if n == 20 else [10, 47])
    assert tab.locator("details").count() == (1 if n == 20 else 2)
    tab.close()


def test_sorting_the_classes(said: Callable[..., str], browser: Browser) -> None:
    said([row(1, 0.5, 0.6)], ["a", "b", "c"], [900, 3, 1200])
    tab, _ = opened(browser, PAGE, "light", 390)
    images = tab.locator("table.sortable td:nth-child(2)")
    assert images.all_text_contents() == ["900", "3", "1200"]
    for expected in (["3", "900", "1200"], ["1200", "900", "3"]):
        tab.get_by_role("button", name="images").click()
        assert images.all_text_contents() == expected
    tab.close()


def class_tables(tab: Page) -> list[Locator]:
    tables = tab.locator("table").filter(has_text="precision").all()
    return [table.locator("tbody tr") for table in tables]


def test_balanced_classes_need_no_balanced_accuracy(said: Callable[..., str]) -> None:
    assert "balanced" not in said([row(1, 0.5, 0.6)], ["a", "b"], [2, 4])


@pytest.mark.parametrize("page", ["report", "compare"])
def test_in_a_browser(browser: Browser, page: str) -> None:
    run, file = write_run(RUN, rows_of(0.6, 0.7)), PAGE
    if page == "report":
        known = answers([3, 3])
        report.write(run, {"best": known, "last": known})
    else:
        file = Path("compare.html")
        comparison.compare([run, write_run("other", rows_of(0.6))], file)
    grounds = set()
    for scheme in ("light", "dark"):
        for width in (390, 1280):
            tab, said = opened(browser, file, scheme, width)
            # The page itself and pictures inside it are all that is asked for.
            assert [line for line in said[1:] if not line.startswith("data:image/png")] == []
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            grounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            drawings = tab.locator("svg:visible")
            assert drawings.count() == (6 if page == "report" else 1)
            for drawing in drawings.all():
                assert drawing.locator("xpath=..").get_attribute("aria-label")
                # A phone needn't scroll for anything.
                box = drawing.bounding_box()
                assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
            # The charts of a pair stand in a column on a phone, side by side elsewhere.
            curves = drawings.first.bounding_box()
            assert curves and (curves["height"] > curves["width"]) == (width == 390)
            word = drawings.first.get_by_text("epoch", exact=True).first
            ink = word.evaluate("text => getComputedStyle(text).fill")
            assert ink == tab.evaluate("getComputedStyle(document.body).color")
            if page == "report":
                cell = tab.get_by_label("Confusion matrix").locator(
                    "g[id*=PatchCollection] [style]"
                )
                blue = cell.first.evaluate("cell => getComputedStyle(cell).fill")
                assert blue == {"light": "rgb(0, 114, 178)", "dark": "rgb(86, 180, 233)"}[scheme]
            ids = tab.locator("svg [id]").evaluate_all("all => all.map((one) => one.id)")
            assert len(ids) == len(set(ids))
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
