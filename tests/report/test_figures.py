"""Figures say what they are given: points, labels, marked epochs. Looking at them is no test's."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist_lit import Network
from mnist_lit.network.network import SmallNetwork, layers
from mnist_lit.report import figures
from mnist_lit.report import labels as lettering


def row(epoch: int, train: float, val: float | None) -> dict[str, Any]:
    accuracy = None if val is None else 1 - val
    return {"epoch": epoch, "train_loss": train, "train_accuracy": 1 - train} | {
        "val_loss": val,
        "val_accuracy": accuracy,
        "lr": 1e-3,
        "seconds": 2.0,
    }


TRAIN = [0.5, 0.3, 0.2, 0.1, 0.05]
VAL = [0.4, 0.35, 0.15, 0.18, 0.2]
ROWS = [row(i, *pair) for i, pair in enumerate(zip(TRAIN, VAL, strict=True), 1)]


@pytest.fixture(params=["light", "dark"])
def style(request: pytest.FixtureRequest) -> Any:
    with figures.styled(request.param) as style:
        yield style


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title() or axes.get_title("left") for axes in figure.axes]
    for legend in figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    return found


def line(axes: Axes, label: str) -> Any:
    (found,) = (line for line in axes.lines if str(line.get_label()).startswith(label))
    return found


def test_parting() -> None:
    assert figures.parting(ROWS) == 4
    assert figures.parting(ROWS[:1]) is None  # validation is still better
    assert figures.parting([row(1, 0.1, 0.2), row(2, 0.2, 0.1)]) is None
    assert figures.parting([row(1, 0.1, 0.2)]) == 1
    assert figures.parting([row(1, 0.1, None)]) is None


def test_best_epoch() -> None:
    assert figures.best_epoch(ROWS) == 3
    assert figures.best_epoch([row(1, 1, 0.2), row(2, 1, 0.1), row(3, 1, 0.1)]) == 2
    assert figures.best_epoch([row(1, 0.1, None)]) is None


def test_curves(style: figures.Style) -> None:
    figure = figures.curves(ROWS, style)
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


def test_curves_of_one_epoch_and_without_validation(style: figures.Style) -> None:
    figure = figures.curves(ROWS[:1], style)
    assert line(figure.axes[0], "validation").get_marker() == "_"  # a line of one point is nothing
    assert figure.axes[0].get_xlim() == (0.5, 1.5)
    figure = figures.curves([row(1, 0.3, None), row(2, 0.2, None)], style)
    assert [str(line.get_label())[:8] for line in figure.axes[0].lines] == ["training"]
    assert not figure.axes[0].patches


def test_curves_where_not_every_epoch_is_validated(style: figures.Style) -> None:
    rows = [row(1, 0.3, None), row(2, 0.2, 0.1), row(3, 0.2, None), row(4, 0.1, 0.2)]
    figure = figures.curves(rows, style)
    assert list(line(figure.axes[0], "validation").get_xdata()) == [2, 4]


@pytest.mark.parametrize("network", [Network(), Network(26), SmallNetwork(3)])
def test_architecture_is_the_live_network(network: Any, style: figures.Style) -> None:
    found = texts(figures.architecture(layers(network), style))
    total = sum(parameter.numel() for parameter in network.parameters())
    assert f"{total:,} parameters" in found
    for name, layer in network.named_children():
        assert name in found and type(layer).__name__ in found
    assert str(network[-2].out_features) in found
    if isinstance(network, Network):
        for size in ("32×25×25", "32×12×12", "64×9×9", "64×4×4", "64×1×1"):
            assert size in found


def test_confusion(style: figures.Style) -> None:
    counts = np.array([[90, 10], [0, 300]])
    figure = figures.confusion(counts, ["cat", "dog"], style)
    left, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["90", "10", "300"]
    assert [t.get_text() for t in right.texts] == ["90.0", "10.0", "100.0"]
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "label")
        assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog"]
    # A class without images has a row of zeros, not of NaN.
    figures.confusion(np.array([[1, 0], [0, 0]]), ["a", "b"], style)


def drawn(figure: Figure) -> bytes:
    """Draw a figure, which fails where a glyph is missing: a warning is an error in tests."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=figures.DPI)
    return content.getvalue()


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
def test_confusion_of_any_number_of_classes(number: str, style: figures.Style) -> None:
    names = NUMBERS[number]
    # Errors all over, which is what a picture's file grows with.
    counts = np.random.default_rng(0).poisson(0.1, (len(names), len(names)))
    np.fill_diagonal(counts, 100)
    figure = figures.confusion(counts, names, style)
    assert len(drawn(figure)) < 1_000_000
    inside, whole = figure.get_tightbbox(), figure.bbox_inches
    assert whole.x0 <= inside.x0 < inside.x1 <= whole.x1 and whole.width < 11
    assert whole.y0 <= inside.y0 < inside.y1 <= whole.y1 and whole.height < 22
    for axes in figure.axes:
        shown = ticks(axes)
        assert shown == names[:: -(-len(names) // 50)]
        assert bool(axes.texts) == (len(names) < 40)
        assert ("one class of 20 is named" in axes.get_xlabel()) == (number == "1000")


@pytest.fixture
def fonts() -> Iterator[None]:
    """See what is known of fonts forgotten, before a test and after it."""
    known = (lettering.fonts, lettering._others, lettering._characters)
    for function in known:
        function.cache_clear()
    before = list(font_manager.fontManager.ttflist)
    yield
    font_manager.fontManager.ttflist[:] = before
    for function in known:
        function.cache_clear()


# DejaVu Sans lacks it, and another of the fonts that come with matplotlib has it.
RARE = "\N{LATIN SMALL LETTER D WITH PALATAL HOOK}"
PRIVATE = "\ue000"


def test_names_that_another_font_can_draw(fonts: None, style: figures.Style) -> None:
    images, labels = np.zeros((2, 28, 28), np.uint8), np.array([0, 1])
    probabilities = np.array([[0.2, 0.8], [0.7, 0.3]])
    for figure in (
        figures.confusion(np.array([[1, 2], [3, 4]]), [RARE, "b"], style),
        figures.worst_errors(images, labels, probabilities, [RARE, "b"], style),
        figures.tiles(images, [RARE, "b"], style, columns=2, empty=""),
        figures.compared({RARE: ROWS, "b": ROWS}, style),
    ):
        drawn(figure)
    assert lettering.shown([RARE, "b"]) == ([RARE, "b"], "")


def test_fonts_that_were_installed_since(fonts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = font_manager.fontManager
    new = [entry.fname for entry in manager.ttflist if entry.name == "STIXGeneral"]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [*new, "no font"])
    manager.ttflist[:] = [entry for entry in manager.ttflist if entry.name == "DejaVu Sans"]
    assert lettering.shown([RARE]) == ([RARE], "")


# Of private use, half a character, a line's end, and a point that stands for no character.
@pytest.mark.parametrize("strange", [PRIVATE, "\udc80", "\n", "\U0003ffff"])
def test_names_that_no_font_can_draw(strange: str, style: figures.Style) -> None:
    names = ["a", f"x{strange}y"]
    figure = figures.confusion(np.array([[1, 2], [3, 4]]), names, style)
    drawn(figure)
    assert [ticks(axes) for axes in figure.axes] == [["a", "#1"]] * 2
    assert figure.get_supxlabel() == lettering.NUMBERED
    images, labels = np.zeros((1, 28, 28), np.uint8), np.array([1])
    figure = figures.worst_errors(images, labels, np.array([[0.8, 0.2]]), names, style)
    drawn(figure)
    assert "#1, read as a\n0.800" in texts(figure) and lettering.NUMBERED in texts(figure)
    figure = figures.compared({"a": ROWS, f"x{strange}y": ROWS}, style)
    drawn(figure)
    assert lettering.shown(names, [0])[1] == ""  # the figure holds no number to explain
    assert "#1" in texts(figure) and lettering.NUMBERED in [t.get_text() for t in figure.texts]


def test_plain_names_cost_nothing(fonts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def needless(*args: Any) -> Any:
        raise AssertionError("a font was read")

    monkeypatch.setattr(lettering, "_others", needless)
    monkeypatch.setattr(lettering, "_characters", needless)
    assert lettering.shown(["T-shirt/top", "~"]) == (["T-shirt/top", "~"], "")


def test_names_are_no_formulas(style: figures.Style) -> None:
    name = r"$\frac$"
    figure = figures.confusion(np.eye(2, dtype=int), [name, "b"], style)
    drawn(figure)
    assert ticks(figure.axes[0]) == [name, "b"]
    drawn(figures.tiles(np.zeros((1, 28, 28), np.uint8), [name], style, columns=1, empty=""))


def test_long_names_are_shortened() -> None:
    long = [f"photograph_of_a_{animal}" for animal in ("cat", "dog")] + ["⚡" * 20]
    assert lettering.shown(long)[0] == ["photogra…f_a_cat", "photogra…f_a_dog", "⚡⚡⚡⚡…⚡⚡⚡"]
    whole = ["sixteen letters.", "⚡" * 8]
    assert lettering.shown(whole)[0] == whole


def test_letters_and_accents_become_one() -> None:
    assert lettering.shown(["e\u0301"])[0] == ["é"]


def test_titles_stay_in_their_cells(style: figures.Style) -> None:
    images = np.zeros((6, 28, 28), np.uint8)
    figure = figures.tiles(
        images, ["W" * 16 + "\nread as " + "W" * 16 + "\n1.0"] * 6, style, columns=5, empty="",
        note=lettering.NUMBERED,
    )  # fmt: skip
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[:6]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes[:5]))
    pictures = [image.get_window_extent() for image in figure.axes[0].images]
    assert boxes[0].y0 >= pictures[0].y1 and boxes[5].y1 <= pictures[0].y0
    note = figure.axes[0].texts[6].get_window_extent()
    assert note.y0 >= 0 and note.y1 <= pictures[5].y0
    figure = figures.tiles(images[:1], ["Bag\nread as Coat\n0.9"], style, columns=1, empty="")
    (title, _), (picture,) = figure.axes[0].texts, figure.axes[0].images
    box = title.get_window_extent()
    assert figure.bbox.y1 >= box.y1 > box.y0 >= picture.get_window_extent().y1
    figure = figures.tiles(images[:1], ["a"], style, columns=1, empty="", note=lettering.NUMBERED)
    assert figure.axes[0].texts[-1].get_window_extent().x1 <= figure.bbox.x1


def test_worst_errors(style: figures.Style) -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.95, 0.05]])
    found = texts(figures.worst_errors(images, labels, probabilities, ["a", "b"], style))
    wanted = ["b, read as a\n0.950", "a, read as b\n0.800", "b, read as a\n0.700"]
    assert [text for text in found if "read as" in text] == wanted
    figure = figures.worst_errors(images, labels, probabilities, ["a", "b"], style, count=1)
    assert [t for t in texts(figure) if "read as" in t] == wanted[:1]
    figure = figures.worst_errors(
        images, labels, probabilities, ["Sandal", "Shirt"], style, count=1
    )
    assert "Shirt\nread as Sandal\n0.950" in texts(figure)
    none = figures.worst_errors(images[:1], labels[:1], probabilities[:1], ["a", "b"], style)
    assert "no image was misread" in texts(none)


def test_filters_and_feature_maps(style: figures.Style) -> None:
    weights = np.arange(32 * 16, dtype=np.float32).reshape(32, 1, 4, 4)
    figure = figures.filters(weights, style)
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None and shown.shape == (19, 39)
    assert np.array_equal(shown[5:9, 0:4], weights[8, 0])  # the first of the second row
    maps = {"conv1": np.ones((32, 12, 12)), "conv3": np.ones((64, 1, 1))}
    figure = figures.feature_maps(np.zeros((28, 28), np.uint8), maps, style)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[0] == "the image"
    assert [title.split(",")[0] for title in titles[1:]] == [
        "conv1: 32 maps of 12×12",
        "conv3: 64 maps of 1×1",
    ]


def test_compared(style: figures.Style) -> None:
    figure = figures.compared({"one": ROWS, "two": ROWS[:2]}, style)
    assert texts(figure)[-2:] == ["one", "two"]
    assert len(figure.axes[0].lines) == 4
    assert list(line(figure.axes[0], "two").get_ydata()) == VAL[:2]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("name", figures.STYLES)
def test_contrast(name: str) -> None:
    """Text has WCAG's contrast of 4.5, lines and dots that of 3."""
    style = figures.STYLES[name]
    for colour, least in ((style.ink, 4.5), (style.blue, 3), (style.red, 3)):
        light, dark = sorted((luminance(colour), luminance(style.ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least
