"""The page to draw on, in a real browser: the network's answers, `predict`'s preprocessing."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page
from torch import nn

from drawings import drawings
from helpers import REPOSITORY
from mnist_lit import Network
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError
from mnist_lit.formats import page as html
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.training.module import MNISTModule

RECIPES = pytest.mark.parametrize("preprocessing", pictures.PREPROCESSING)


@RECIPES
def test_sixty_drawings(opened: Opened, preprocessing: str) -> None:
    """The page and `predict` see the same 28×28 pixels, and 57 of 60 digits are read right."""
    write(checkpoints.load_network("pretrained")[0], preprocessing=preprocessing)
    page = opened()
    wrong = []
    for i, drawing in enumerate(drawings()):
        url, image, probabilities = page.evaluate(
            """([strokes_, width]) => {
                strokeWidth = width;
                strokes = strokes_;
                update();
                return [drawing().toDataURL("image/png"), Array.from(result.image),
                    result.probabilities];
            }""",
            [drawing["strokes"], drawing["width"]],
        )
        Path("drawn.png").write_bytes(base64.b64decode(url.split(",")[1]))
        seen = pictures.read("drawn.png", preprocessing).image.ravel().astype(int)
        assert abs(seen - np.array(image)).max() <= 1, i
        if int(np.argmax(probabilities)) != drawing["digit"]:
            wrong.append((i, drawing["digit"], int(np.argmax(probabilities))))
    if preprocessing == "mnist":  # which the network was trained for
        print(wrong)
        assert len(wrong) <= 3


@RECIPES
def test_photograph(opened: Opened, preprocessing: str) -> None:
    """A file under uneven light, larger than the page works with, is prepared as by `predict`."""
    digits, labels = sample.load()["test"]
    write(checkpoints.load_network("pretrained")[0], preprocessing=preprocessing)
    page = opened()
    for i in (0, 250, 450, 750):
        large = Image.fromarray(255 - digits[i, 0].numpy()).resize((560, 560))
        values = np.asarray(large, np.float32)
        light = np.linspace(0.5, 0.95, 560, dtype=np.float32)
        Image.fromarray((values * light).astype(np.uint8)).save("photo.png")
        page.set_input_files("#file", "photo.png")
        until(page, "photo !== null && result !== null")
        image = np.array(page.evaluate("Array.from(result.image)"))
        seen = pictures.read("photo.png", preprocessing).image.ravel().astype(int)
        assert abs(seen - image).max() <= 3
        if preprocessing == "mnist":
            assert page.inner_text("#answer") == f"The network reads {labels[i]}."
        page.click("#clear")
    Path("text.png").write_text("no picture")
    page.set_input_files("#file", "text.png")
    until(page, "$('answer').textContent === 'text.png is no picture that this browser can read.'")


@RECIPES
def test_other_pictures(opened: Opened, preprocessing: str) -> None:
    """Pictures of 28×28 pixels, wide ones in colour, noise, faint ones: as by `predict`."""
    write(checkpoints.load_network("pretrained")[0], preprocessing=preprocessing)
    page = opened()
    rng = np.random.default_rng(0)
    wide = Image.new("RGB", (91, 40), (250, 240, 200))
    wide.paste((130, 20, 60), (20, 9, 65, 22))
    pages = {
        "own": Image.fromarray(own_output(preprocessing)),
        "dark": Image.fromarray(255 - own_output(preprocessing)),
        "noise": Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)),
        "framed": ImageOps.expand(
            Image.fromarray(rng.integers(0, 256, (26, 26), np.uint8)), 1, fill=255
        ),
        "wide": wide,
        "tall": wide.transpose(Image.Transpose.ROTATE_90),
        "faint": Image.fromarray(np.tile(np.arange(200, 210, dtype=np.uint8), (13, 3))),
    }
    for name, picture in pages.items():
        picture.save(f"{name}.png")
        page.set_input_files("#file", f"{name}.png")
        until(page, "photo !== null")
        seen = pictures.read(f"{name}.png", preprocessing).image.ravel().astype(int)
        image = page.evaluate("result && Array.from(result.image)") or [0] * 784
        exact = preprocessing == "plain" or name in ("own", "dark")
        assert abs(seen - np.array(image)).max() <= (0 if exact else 1), name
        page.click("#clear")


def own_output(preprocessing: str) -> NDArray[np.uint8]:
    """Return an L as a recipe leaves it."""
    page = Image.new("L", (90, 80), 255)
    page.paste(0, (20, 12, 29, 64))
    page.paste(0, (29, 55, 60, 64))
    return pictures.prepare(np.asarray(page, np.float32), preprocessing).image


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
    until(page, "result !== null")
    assert page.inner_text("#answer") == "The network reads 1."
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
    for name in ("map1", "map2", "map3", "seen"):
        most = page.evaluate(
            "id => { const c = $(id); return Math.max(...c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 1)); }",
            name,
        )
        assert most > 200, name


def test_weights_of_a_wrong_length(opened: Opened) -> None:
    write(checkpoints.load_network("pretrained")[0])
    page_text = FILE.read_text("utf-8")
    start = page_text.index('octet-stream">') + len('octet-stream">')
    for changed in ("AAAA" * 4 + page_text[start:], page_text[start + 400 :]):
        FILE.write_text(page_text[:start] + changed, "utf-8")
        with pytest.raises(InputError, match=r"weights, not 103,786: export it again"):
            html.read(FILE)
    page = opened()
    assert "this page is damaged: its weights have" in page.inner_text("#error")
    assert page.inner_text("#answer") == "" and page.locator("#bars div").count() == 0


def test_other_classes(opened: Opened) -> None:
    names = ["</script><img src=x onerror=alert(1)>", "あ", "\"'&"]
    # The name of a folder need be no valid text.
    write(Network(3), num_classes=3, class_names=names, dataset="<b>mine</b>\udcff")
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
    network = Network(n)
    write(network, num_classes=n, class_names=names)
    page = opened()
    many = n > 12
    assert page.locator("#bars").is_visible() != many
    notice = page.locator(f"text=The 10 most probable of {n:,} classes.")
    assert notice.count() == many
    for x in (0.3, 0.7):  # the order is another one for another drawing
        page.evaluate("x => { strokes = [[[50, 15], [100 * x, 85]], [[20, 80], [75, 40]]]; }", x)
        page.evaluate("update()")
        image = np.array(page.evaluate("Array.from(result.image)"), np.uint8)
        with torch.inference_mode():
            tensor = torch.from_numpy(image).view(1, 1, 28, 28) / 255
            found = network.eval()(tensor).exp()[0].numpy()
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
    write(Network(n), num_classes=n, class_names=names, dataset="d" * 300)
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
    write(Network(n), num_classes=n, class_names=names, preprocessing=preprocessing)
    page = opened()
    assert page.title() == title and page.inner_text("h1") == title
    assert page.inner_text("#answer") == prompt
    seen = page.inner_text("h2:has-text('What the network sees') + p")
    assert said in seen and seen.startswith("28×28 pixels: ")
    assert page.locator("#examples button").count() == (10 if title == "Draw a digit" else 0)
    page.evaluate("strokes = [[[50, 15], [50, 85]]]; update()")
    verb = "sees" if preprocessing == "plain" else "reads"
    assert page.inner_text("#answer").startswith(f"The network {verb} ")


def test_reads_back_bitwise() -> None:
    network = Network(7)
    write(network, class_names=list("abcdefg"), num_classes=7)
    again = html.read(FILE).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, again[name])


def test_no_network_access_is_allowed() -> None:
    write(Network())
    text = FILE.read_text("utf-8")
    (policy,) = (line for line in text.splitlines() if "Content-Security-Policy" in line)
    assert "default-src 'none'" in policy and "connect-src" not in policy
    assert "http:" not in text and "https:" not in text
    assert FILE.stat().st_size < 1_000_000


def test_kept_page_is_todays() -> None:
    content = checkpoints.read("pretrained")
    network, _ = checkpoints.load_network("pretrained")
    assert isinstance(network, Network)
    html.write(FILE, content, network)
    kept = REPOSITORY / "docs" / "draw.html"
    assert kept.read_bytes() == FILE.read_bytes(), "make page writes it again"
