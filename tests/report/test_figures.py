"""Figures hold what they are given: points, labels, marked epochs. People look at them."""

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist_lit.colours import Colours
from mnist_lit.evaluation import Answers
from mnist_lit.report import figures, labels
from mnist_lit.report.style import png, styled
from records import row

TRAIN = [0.5, 0.3, 0.2, 0.1, 0.05]
VAL = [0.4, 0.35, 0.15, 0.18, 0.2]
ROWS = [
    row(i, train, val, (1 - train, 1 - val))
    for i, (train, val) in enumerate(zip(TRAIN, VAL, strict=True), 1)
]


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> Any:
    with styled(request.param) as colours:
        yield colours


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title() or axes.get_title("left") for axes in figure.axes]
    for legend in figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    return found


def answered(labels: list[int], probabilities: list[list[float]]) -> Answers:
    """Return answers to black images."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    return Answers(images, np.array(labels), np.log(np.array(probabilities, np.float32)))


def line(axes: Axes, label: str) -> Any:
    (found,) = (line for line in axes.lines if str(line.get_label()).startswith(label))
    return found


def test_curves(colours: Colours) -> None:
    figure = figures.curves(ROWS, colours)
    for axes, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        train, val = line(axes, "training"), line(axes, "validation")
        assert (train.get_linestyle(), train.get_marker()) == ("None", "o")
        assert val.get_linestyle() == "-"
        assert list(train.get_xdata()) == list(val.get_xdata()) == [1, 2, 3, 4, 5]
        assert list(train.get_ydata()) == [r[f"train_{quantity}"] for r in ROWS]
        assert list(val.get_ydata()) == [r[f"val_{quantity}"] for r in ROWS]
        assert list(line(axes, "best epoch").get_xdata()) == [3, 3]
        (shade,) = axes.patches
        assert shade.get_extents().transformed(axes.transData.inverted()).x0 == pytest.approx(4)
        assert axes.get_xlabel() == "epoch" and quantity in axes.get_ylabel()
        ticks = axes.get_xticks()
        assert np.array_equal(ticks, ticks.round())
    assert "best epoch on validation: 3" in texts(figure)
    assert "validation loss above training loss for good, from epoch 4" in texts(figure)


def test_curves_of_one_epoch_and_without_validation(colours: Colours) -> None:
    figure = figures.curves(ROWS[:1], colours)
    assert line(figure.axes[0], "validation").get_marker() == "_"  # a line of one point is nothing
    assert figure.axes[0].get_xlim() == (0.5, 1.5)
    figure = figures.curves([row(1, 0.3, None), row(2, 0.2, None)], colours)
    assert [str(line.get_label())[:8] for line in figure.axes[0].lines] == ["training"]
    assert not figure.axes[0].patches


def test_curves_where_not_every_epoch_is_validated(colours: Colours) -> None:
    rows = [row(1, 0.3, None), row(2, 0.2, 0.1), row(3, 0.2, None), row(4, 0.1, 0.2)]
    figure = figures.curves(rows, colours)
    assert list(line(figure.axes[0], "validation").get_xdata()) == [2, 4]


def test_confusion(colours: Colours) -> None:
    counts = np.array([[90, 10], [0, 300]])
    figure = figures.confusion(counts, ["cat", "dog"], colours)
    left, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["90", "10", "300"]
    assert [t.get_text() for t in right.texts] == ["90.0", "10.0", "100.0"]
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "label")
        assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog"]
    # A class without images has a row of zeros, not of NaN.
    figures.confusion(np.array([[1, 0], [0, 0]]), ["a", "b"], colours)


def ticks(axes: Axes) -> list[str]:
    found = [text.get_text() for text in axes.get_xticklabels()]
    assert [text.get_text() for text in axes.get_yticklabels()] == found
    return found


NUMBERS = {
    "2": ["cat", "dog"],
    "10 wide": ["WWWWWWWWWWWWWWWW"] * 10,
    "47": [f"letter {i}" for i in range(47)],
    "1000": [f"class {i}" for i in range(1000)],
}


@pytest.mark.parametrize("number", NUMBERS)
def test_confusion_of_any_number_of_classes(number: str, colours: Colours) -> None:
    names = NUMBERS[number]
    # Errors all over, which is what a picture's file grows with.
    counts = np.random.default_rng(0).poisson(0.1, (len(names), len(names)))
    np.fill_diagonal(counts, 100)
    figure = figures.confusion(counts, names, colours)
    assert len(png(figure)) < 1_000_000
    inside, whole = figure.get_tightbbox(), figure.bbox_inches
    assert whole.x0 <= inside.x0 < inside.x1 <= whole.x1 and whole.width < 11
    assert whole.y0 <= inside.y0 < inside.y1 <= whole.y1 and whole.height < 22
    for axes in figure.axes:
        shown = ticks(axes)
        assert shown == names[:: -(-len(names) // 50)]
        assert bool(axes.texts) == (len(names) < 40)
        assert len(axes.images) == (number == "1000")
        assert ("one class of 20 is named" in axes.get_xlabel()) == (number == "1000")
        for image in axes.images:  # its colours can't follow a page's ground
            assert image.to_rgba(np.zeros(1))[0, 3] == 1


# DejaVu Sans lacks it, and another font that comes with matplotlib has it.
RARE = "\N{LATIN SMALL LETTER D WITH PALATAL HOOK}"
PRIVATE = "\ue000"


def test_names_that_another_font_can_draw(fonts: None, colours: Colours) -> None:
    answers = answered([0, 1], [[0.2, 0.8], [0.7, 0.3]])
    for figure in (
        figures.confusion(np.array([[1, 2], [3, 4]]), [RARE, "b"], colours),
        figures.worst_errors(answers, [RARE, "b"]),
        figures.tiles(answers.images, [RARE, "b"], columns=2, empty=""),
        figures.compared({RARE: ROWS, "b": ROWS}, colours),
    ):
        png(figure)
    assert labels.shown([RARE, "b"]) == ([RARE, "b"], "")


# A private-use character, half a character, a line's end, and a code that is no character.
@pytest.mark.parametrize("strange", [PRIVATE, "\udc80", "\n", "\U0003ffff"])
def test_names_that_no_font_can_draw(strange: str, colours: Colours) -> None:
    names = ["a", f"x{strange}y"]
    figure = figures.confusion(np.array([[1, 2], [3, 4]]), names, colours)
    png(figure)
    assert [ticks(axes) for axes in figure.axes] == [["a", "#1"]] * 2
    assert figure.get_supxlabel() == labels.NUMBERED
    figure = figures.worst_errors(answered([1], [[0.8, 0.2]]), names)
    png(figure)
    assert "#1, read as a\n0.800" in texts(figure) and labels.NUMBERED in texts(figure)
    figure = figures.compared({"a": ROWS, f"x{strange}y": ROWS}, colours)
    png(figure)
    assert labels.shown(names, [0])[1] == ""  # the figure holds no number to explain
    assert "#1" in texts(figure) and labels.NUMBERED in [t.get_text() for t in figure.texts]


def test_names_are_not_formulas(colours: Colours) -> None:
    name = r"$\frac$"
    figure = figures.confusion(np.eye(2, dtype=int), [name, "b"], colours)
    png(figure)
    assert ticks(figure.axes[0]) == [name, "b"]
    png(figures.tiles(np.zeros((1, 28, 28), np.uint8), [name], columns=1, empty=""))


def test_titles_stay_in_their_cells(colours: Colours) -> None:
    images = np.zeros((6, 28, 28), np.uint8)
    figure = figures.tiles(
        images, ["W" * 16 + "\nread as " + "W" * 16 + "\n1.0"] * 6, columns=5, empty="",
        note=labels.NUMBERED,
    )  # fmt: skip
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[:6]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes[:5]))
    pictures = [image.get_window_extent() for image in figure.axes[0].images]
    assert boxes[0].y0 >= pictures[0].y1 and boxes[5].y1 <= pictures[0].y0
    note = figure.axes[0].texts[6].get_window_extent()
    assert note.y0 >= 0 and note.y1 <= pictures[5].y0
    figure = figures.tiles(images[:1], ["Bag\nread as Coat\n0.9"], columns=1, empty="")
    (title, _), (picture,) = figure.axes[0].texts, figure.axes[0].images
    box = title.get_window_extent()
    assert figure.bbox.y1 >= box.y1 > box.y0 >= picture.get_window_extent().y1
    figure = figures.tiles(images[:1], ["a"], columns=1, empty="", note=labels.NUMBERED)
    assert figure.axes[0].texts[-1].get_window_extent().x1 <= figure.bbox.x1


def test_worst_errors() -> None:
    answers = answered([0, 1, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.95, 0.05]])

    def titles(figure: Figure) -> list[str]:
        return [text for text in texts(figure) if "read as" in text]

    wanted = ["b, read as a\n0.950", "a, read as b\n0.800", "b, read as a\n0.700"]
    assert titles(figures.worst_errors(answers, ["a", "b"])) == wanted
    assert titles(figures.worst_errors(answers, ["a", "b"], count=1)) == wanted[:1]
    figure = figures.worst_errors(answers, ["Sandal", "Shirt"], count=1)
    assert titles(figure) == ["Shirt\nread as Sandal\n0.950"]
    none = figures.worst_errors(answered([0], [[0.9, 0.1]]), ["a", "b"])
    assert "no image was misread" in texts(none)


@pytest.mark.parametrize("side", [8, 28, 64, 256])
def test_tiles_of_any_size(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)
    figure = figures.tiles(images, ["a", "b", "c"], columns=2, empty="")
    for drawn, image in zip(figure.axes[0].images, images, strict=True):
        assert np.array_equal(np.asarray(drawn.get_array()), image)
        box = drawn.get_window_extent()
        assert box.width == pytest.approx(box.height)


def test_narrow_figures_stand_in_a_column(colours: Colours) -> None:
    counts = np.array([[90, 10], [0, 300]])
    for figure in (
        figures.curves(ROWS, colours, narrow=True),
        figures.compared({"one": ROWS}, colours, narrow=True),
        figures.confusion(counts, ["cat", "dog"], colours, narrow=True),
    ):
        png(figure)
        first, second = (axes.get_window_extent() for axes in figure.axes)
        assert first.y0 > second.y1 and first.x0 == pytest.approx(second.x0, abs=2)
        assert figure.bbox_inches.width <= 6


def test_compared(colours: Colours) -> None:
    figure = figures.compared({"one": ROWS, "two": ROWS[:2]}, colours)
    assert texts(figure)[-2:] == ["one", "two"]
    assert len(figure.axes[0].lines) == 4
    assert list(line(figure.axes[0], "two").get_ydata()) == VAL[:2]


def test_many_compared_runs_differ_in_colour_or_line(colours: Colours) -> None:
    figure = figures.compared({str(i): ROWS for i in range(20)}, colours)
    lines = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 20
