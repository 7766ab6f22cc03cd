"""The page in the hands of people: drawing, screens, words, names, feature maps."""

from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from mnist_lit import Network
from mnist_lit.formats import page as html
from mnist_lit.network.inference import probabilities
from pages import FILE, Opened, until, write


def stroke(page: Page, *points: tuple[float, float]) -> None:
    box = page.locator("#pad").bounding_box()
    assert box is not None
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def test_drawing_a_seven(opened: Opened) -> None:
    page = opened()
    assert page.inner_text("#answer") == "Draw one, or choose an example."
    assert page.locator("#undo").is_disabled()
    stroke(page, (0.25, 0.2), (0.75, 0.2), (0.45, 0.85))
    assert page.inner_text("#answer") == "The network reads 7."
    bars = page.locator("#bars .best")
    assert bars.first.inner_text() == "7" and float(bars.last.inner_text()) > 0.9
    seen = page.evaluate("Array.from($('seen').getContext('2d').getImageData(0, 0, 28, 28).data)")
    assert max(seen[0::4]) == 255
    stroke(page, (0.2, 0.9), (0.8, 0.9))
    page.click("#undo")
    assert page.inner_text("#answer") == "The network reads 7."
    page.keyboard.press("Control+z")
    assert page.inner_text("#answer") == "Draw one, or choose an example."
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    page.click("#clear")
    assert page.evaluate("strokes.length") == 0 and page.locator("#clear").is_disabled()


def test_drawing_by_finger(opened: Opened) -> None:
    page = opened(390, has_touch=True, is_mobile=True)
    box = page.locator("#pad").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)

    def touch(kind: str, x: float = 0, y: float = 0) -> None:
        where = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}]
        points = [] if kind == "touchEnd" else where
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.5, 0.15)
    for i in range(1, 9):
        touch("touchMove", 0.5, 0.15 + 0.09 * i)
    touch("touchEnd")
    # The answer to a part of the stroke may stand there for a moment.
    until(page, "$('answer').textContent === 'The network reads 1.'")
    assert page.evaluate("scrollY") == 0  # the page did not scroll away under the finger


def test_examples_and_keyboard(opened: Opened) -> None:
    page = opened()
    for digit in range(10):
        page.click(f"#examples button:nth-child({digit + 1})")
        assert page.inner_text("#answer") == f"The network reads {digit}."
    page.focus("#examples button:nth-child(4)")
    page.keyboard.press("Enter")
    assert page.inner_text("#answer") == "The network reads 3."
    reached = set()
    page.focus("body")
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    assert {"pad", "undo", "clear", "file", "0", "9"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_fits_the_screen(opened: Opened, width: int, scheme: str) -> None:
    page = opened(width, scheme, device_scale_factor=2)
    page.click("#examples button:nth-child(9)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pad = page.evaluate("[$('pad').width, $('pad').clientWidth]")
    assert pad[0] == 2 * pad[1]  # sharp on a dense screen
    for canvas in page.locator("#maps canvas").all():
        most = canvas.evaluate(
            "c => Math.max(...c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 1))"
        )
        assert most > 200


def test_other_classes(opened: Opened) -> None:
    names = ["</script><img src=x onerror=alert(1)>", "あ", "\"'&"]
    # The name of a folder need be no valid text.
    write(Network(3), class_names=names, dataset="<b>mine</b>\udcff")
    page = opened()
    titles = [page.locator("#bars > div").nth(3 * i).inner_text() for i in range(3)]
    assert titles == names
    assert "trained on <b>mine</b>?," in page.inner_text("body")
    assert page.locator("#examples button").count() == 0  # digits are no examples of them
    assert html.read(FILE).state_dict()["dense2.bias"].shape == (3,)


MANY = [*"あいうえおかきくけこ", *"ABCDEFGHIJKLMN", "<b>&amp;", "Donau" + "dampfschiff" * 12]


@pytest.mark.parametrize("n", [12, 13, 26, 1000])
def test_many_classes(opened: Opened, n: int) -> None:
    """Above 12 classes the 10 most probable are shown, the best first."""
    names = (MANY + [f"class {i}" for i in range(1000)])[:n]
    torch.manual_seed(0)
    network = Network(n).eval()
    write(network, class_names=names)
    page = opened()
    many = n > 12
    assert page.locator("#bars").is_visible() != many
    notice = page.locator(f"text=The 10 most probable of {n:,} classes.")
    assert notice.count() == many
    for x in (0.3, 0.7):  # the order is another one for another drawing
        page.evaluate("x => { strokes = [[[50, 15], [100 * x, 85]], [[20, 80], [75, 40]]]; }", x)
        page.evaluate("update()")
        image = np.array(page.evaluate("Array.from(result.image)"), np.uint8)
        found = probabilities(network, torch.from_numpy(image).view(1, 1, 28, 28))[0].numpy()
        order = np.argsort(-found)[:10] if many else range(n)
        cells = [cell.text_content() for cell in page.locator("#bars > div").all()]
        assert cells[0::3] == [names[i] for i in order]
        shown = [float(cell or "nan") for cell in cells[2::3]]
        assert np.allclose(shown, [found[i] for i in order], atol=6e-4)
        best = page.locator("#bars .name.best")
        assert best.count() == 1 and best.text_content() == names[int(found.argmax())]
        page.click("#clear")
        assert page.locator("#bars").is_visible() != many


@pytest.mark.parametrize("n", [2, 26])
@pytest.mark.parametrize("width", [360, 1000])
def test_long_names_fit(opened: Opened, width: int, n: int) -> None:
    names = [f"{i}" + "W" * 300 for i in range(n)]
    write(Network(n), class_names=names, dataset="d" * 300)
    page = opened(width)
    page.evaluate("strokes = [[[50, 15], [50, 85]]]; update()")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    bars = page.locator("#bars > div")
    for i in range(min(n, 10)):
        name, bar, figure = (bars.nth(3 * i + part).bounding_box() for part in range(3))
        assert name is not None and bar is not None and figure is not None
        assert name["height"] < 60 and bar["width"] > 60
        assert name["x"] + name["width"] <= bar["x"] and bar["x"] + bar["width"] <= figure["x"]
        assert figure["x"] + figure["width"] <= width


TEN = [str(i) for i in range(10)]


@pytest.mark.parametrize(
    "names, preprocessing, title, prompt, said",
    [
        (TEN, "mnist", "Draw a digit", "Draw one, or choose an example.", "20 pixels"),
        (TEN, "emnist", "Draw a digit", "Draw one, or choose an example.", "24 pixels"),
        (TEN, "plain", "Show a picture", "Choose a picture, or draw one.", "as it is"),
        (
            ["シャツ", "ズボン"],
            "plain",
            "Show a picture",
            "Choose a picture, or draw one.",
            "as it is",
        ),
        (["a", "b"], "emnist", "Draw a character", "Draw one, or choose a picture.", "24 pixels"),
        (TEN[::-1], "mnist", "Draw a character", "Draw one, or choose a picture.", "20 pixels"),
    ],
)
def test_words_fit_the_data(
    opened: Opened, names: list[str], preprocessing: str, title: str, prompt: str, said: str
) -> None:
    n = len(names)
    write(Network(n), class_names=names, preprocessing=preprocessing)
    page = opened()
    assert page.title() == title and page.inner_text("h1") == title
    assert page.inner_text("#answer") == prompt
    seen = page.inner_text("h2:has-text('What the network sees') + p")
    assert said in seen and seen.startswith("28×28 pixels: ")
    assert page.locator("#examples button").count() == (10 if title == "Draw a digit" else 0)
    page.evaluate("strokes = [[[50, 15], [50, 85]]]; update()")
    verb = "sees" if preprocessing == "plain" else "reads"
    assert page.inner_text("#answer").startswith(f"The network {verb} ")


def convolutions(*widths: int, **more: Any) -> list[Any]:
    layers: list[Any] = []
    for width in widths:
        layers += [{"Conv2d": {"out_channels": width, "kernel_size": 3, "padding": 1} | more}]
    return [*layers, "Flatten", "Linear"]


def test_feature_maps_of_every_convolution(opened: Opened) -> None:
    write(Network())
    page = opened()
    titles = page.locator("#maps h3").all_inner_texts()
    assert titles == ["conv1: 32 maps of 12×12", "conv2: 64 maps of 4×4", "conv3: 64 numbers"]
    about = page.locator("#maps h3 + p").all_inner_texts()
    assert about == [
        "32 filters of 4×4, then relu1, pool1.",
        "64 filters of 4×4, then relu2, pool2.",
        "64 filters of 4×4, then relu3, dropout.",
    ]
    labels = [c.get_attribute("aria-label") for c in page.locator("#maps h3 + p + canvas").all()]
    assert labels == [f"Feature maps of {name}" for name in ("conv1", "conv2", "conv3")]


def test_many_maps_are_cut(opened: Opened) -> None:
    """Of very many maps and convolutions, the first are shown, which is said."""
    write(Network(network=convolutions(1, 65, *[2] * 24), image_size=16))
    page = opened()
    assert page.locator("#maps h3").count() == page.locator("#maps h3 + p + canvas").count() == 24
    assert "The first 24 of 26 are shown." in page.inner_text("#maps")
    first, second = page.locator("#maps h3").all_inner_texts()[:2]
    assert first == "conv1: 1 map of 16×16" and second == "conv2: 65 maps of 16×16"
    about = page.locator("#maps h3 + p").all_inner_texts()
    assert about[:2] == ["1 filter of 3×3.", "65 filters of 3×3. The first 64 are shown."]
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('[data-convolution]'), c => [c.width, c.height])"
    )
    assert sizes[0] == [16, 16] and sizes[1] == [16 * 17 - 1, 4 * 17 - 1]


def test_network_without_convolutions(opened: Opened) -> None:
    write(Network(network=["Flatten", "Linear"]))
    page = opened()
    assert page.locator("#maps h2").all_inner_texts() == ["What the network sees"]
    assert page.locator("#maps canvas").count() == 1


def test_slow_network_waits_for_the_end_of_the_stroke(opened: Opened) -> None:
    page = opened()
    page.evaluate("took = 1000")
    page.evaluate("update = ((shown) => () => { shown(); took = 1000; })(update)")
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 30, steps=8)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert page.inner_text("#answer") == "Draw one, or choose an example."
    page.mouse.up()
    until(page, "result !== null")
    assert page.inner_text("#answer") == "The network reads 1."
