"""The page's preprocessing against Python's: drawings, photographs and odd pictures."""

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import Page

from drawings import drawings, photographs_of_a_2
from mnist_lit import Network, predict
from mnist_lit.data import sample
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.prediction import upright
from pages import Opened, pretrained, show, until, write

PREPROCESSING = pytest.mark.parametrize("preprocessing", pictures.PREPROCESSING)
SIDES = pytest.mark.parametrize("side", [28, 45])


def any_network(side: int) -> Network:
    return Network(network=["Flatten", "Linear"], image_size=side).eval()


def draw(page: Page, drawing: dict[str, Any]) -> tuple[NDArray[np.int64], list[float]]:
    """Draw strokes; save the drawing, return the network's input and its answer."""
    url, image, found = page.evaluate(
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
    return np.array(image), found


def difference(image: NDArray[np.int64], name: str, preprocessing: str, side: int) -> int:
    """Return how far the page's input is from that of `predict` for a file."""
    seen = pictures.read(name, preprocessing, side).image.ravel().astype(int)
    return int(abs(seen - image).max())


@PREPROCESSING
def test_sixty_drawings(opened: Opened, preprocessing: str) -> None:
    """The page and `predict` see the same 28×28 pixels, and 57 of 60 digits are read right."""
    write(pretrained(), preprocessing=preprocessing)
    page = opened()
    wrong = []
    for i, drawing in enumerate(drawings()):
        image, found = draw(page, drawing)
        assert difference(image, "drawn.png", preprocessing, 28) <= 1, i
        if int(np.argmax(found)) != drawing["digit"]:
            wrong.append((i, drawing["digit"], int(np.argmax(found))))
    if preprocessing == "mnist":  # which the network was trained for
        print(wrong)
        assert len(wrong) <= 3


@pytest.mark.parametrize(
    "preprocessing, side",
    [("mnist", 8), ("mnist", 64), ("mnist", 256), ("emnist", 9), ("emnist", 64), ("plain", 64)],
)
def test_drawings_at_any_size(opened: Opened, preprocessing: str, side: int) -> None:
    write(any_network(side), preprocessing=preprocessing)
    page = opened()
    assert f"{side}×{side} pixels: " in page.inner_text("#maps")
    for i, drawing in enumerate(drawings()[:: 12 if side < 200 else 30]):
        image, _ = draw(page, drawing)
        assert len(image) == side**2
        assert difference(image, "drawn.png", preprocessing, side) <= 1, i


@PREPROCESSING
@pytest.mark.parametrize("side", [28, 64])
def test_photograph(opened: Opened, preprocessing: str, side: int) -> None:
    """A file under uneven light, larger than the page works with, is prepared as by `predict`."""
    digits, labels = sample.load()["test"]
    write(pretrained() if side == 28 else any_network(side), preprocessing=preprocessing)
    page = opened()
    for i in (0, 250, 450, 750) if side == 28 else (450,):
        large = Image.fromarray(255 - digits[i, 0].numpy()).resize((560, 560))
        values = np.asarray(large, np.float32)
        light = np.linspace(0.5, 0.95, 560, dtype=np.float32)
        Image.fromarray((values * light).astype(np.uint8)).save("photo.png")
        show(page, "photo.png")
        image = np.array(page.evaluate("Array.from(result.image)"))
        assert difference(image, "photo.png", preprocessing, side) <= 3
        if preprocessing == "mnist" and side == 28:
            assert page.inner_text("#answer") == f"The network reads {labels[i]}."


def test_not_a_picture(opened: Opened) -> None:
    page = opened()
    Path("text.png").write_text("not a picture")
    page.set_input_files("#file", "text.png")
    until(page, "$('answer').textContent === `This browser can't read text.png as a picture.`")


def ink(preprocessing: str, side: int) -> NDArray[np.uint8]:
    """Return an L as a preprocessing leaves it."""
    picture = Image.new("L", (90, 80), 255)
    picture.paste(0, (20, 12, 29, 64))
    picture.paste(0, (29, 55, 60, 64))
    return pictures.prepare(np.asarray(picture, np.float32), preprocessing, side).image


def odd_pictures(preprocessing: str, side: int) -> dict[str, Image.Image]:
    rng = np.random.default_rng(0)
    noise, inner = (rng.integers(0, 256, (n, n), np.uint8) for n in (side, side - 2))
    wide = Image.new("RGB", (91, 40), (250, 240, 200))
    wide.paste((130, 20, 60), (20, 9, 65, 22))
    equal = Image.new("RGB", (60, 80), (97, 0, 0))
    equal.paste((0, 0, 255), (25, 10, 32, 70))
    return {
        "own": Image.fromarray(ink(preprocessing, side)),
        "dark": Image.fromarray(255 - ink(preprocessing, side)),
        "noise": Image.fromarray(noise),
        "framed": ImageOps.expand(Image.fromarray(inner), 1, fill=255),
        "wide": wide,
        "tall": wide.transpose(Image.Transpose.ROTATE_90),
        "equal grey": equal,
        "faint": Image.fromarray(np.tile(np.arange(200, 210, dtype=np.uint8), (13, 3))),
    }


@PREPROCESSING
@SIDES
def test_odd_pictures(opened: Opened, preprocessing: str, side: int) -> None:
    """Pictures of the right size, wide ones in colour, noise, faint ones: as by `predict`."""
    write(any_network(side), preprocessing=preprocessing)
    page = opened()
    for name, picture in odd_pictures(preprocessing, side).items():
        picture.save(f"{name}.png")
        show(page, f"{name}.png")
        image = np.array(page.evaluate("Array.from(result.image)"))
        exact = side == 28 and (preprocessing == "plain" or name in ("own", "dark"))
        found = difference(image, f"{name}.png", preprocessing, side)
        assert found <= (0 if exact else 1), name


@PREPROCESSING
def test_ink_on_a_transparent_ground(opened: Opened, preprocessing: str) -> None:
    """It lies on the ground that it can be seen on, as `predict` puts it, in the page's pad too."""
    write(pretrained(), preprocessing=preprocessing)
    page = opened()
    for grey, ground in ((255, 0), (200, 0), (90, 255), (0, 255)):
        picture = Image.new("RGBA", (60, 80), (0, 0, 0, 0))
        picture.paste((grey, grey, grey, 255), (25, 10, 35, 70))
        picture.paste((grey, grey, grey, 128), (35, 10, 38, 70))
        picture.save("clear.png")
        show(page, "clear.png")
        image = np.array(page.evaluate("Array.from(result.image)"))
        assert image.max() > 100 and difference(image, "clear.png", preprocessing, 28) <= 1
        assert page.inner_text("#answer").startswith("The network ")
        corner = "Array.from(photo.getContext('2d').getImageData(2, 2, 1, 1).data)"
        assert page.evaluate(corner) == [ground] * 3 + [255]


@pytest.mark.parametrize(
    "preprocessing, said",
    [
        ("mnist", "This picture has no ink."),
        ("emnist", "This picture has no ink."),
        ("plain", "This picture shows nothing."),
    ],
)
def test_blank_picture_is_told_so(opened: Opened, preprocessing: str, said: str) -> None:
    write(pretrained(), preprocessing=preprocessing)
    page = opened()
    blank = {"white": Image.new("L", (50, 40), 255), "clear": Image.new("RGBA", (50, 40))}
    for name, picture in blank.items():
        picture.save(f"{name}.png")
        assert pictures.read(f"{name}.png", preprocessing).note.startswith("blank")
        show(page, f"{name}.png")
        assert page.inner_text("#answer") == said
        assert page.locator("#bars .best").count() == 0
        page.click("#clear")
        assert page.inner_text("#answer") != said


def test_real_pictures(opened: Opened, cases_dir: Path) -> None:
    """The page sees and says what `predict` does."""
    network = pretrained()
    write(network)
    page = opened()
    names = sorted((cases_dir / "pictures").glob("*.png"))
    assert len(names) == 26
    for name in names:
        show(page, str(name))
        image = np.array(page.evaluate("Array.from(result.image)"))
        expected = upright(network, pictures.read(name))
        # Chromium and Pillow make a picture smaller, and colours grey, in their own ways.
        assert abs(expected.image.ravel().astype(int) - image).mean() < 3, name
        assert page.evaluate("result.note") == expected.note, name


def test_photograph_on_its_side(opened: Opened) -> None:
    write(pretrained())
    page = opened()
    for name, picture in photographs_of_a_2().items():
        picture.save(f"{name}.png")
        show(page, f"{name}.png")
        (row,) = predict(f"{name}.png")
        assert page.inner_text("#answer").startswith(f"The network reads {row.label}"), name
        assert page.evaluate("result.note") == row.note, name


def test_what_is_turned_is_what_predict_turns(opened: Opened) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[2, 3] = 255  # in another place when the image is turned
    for as_it_lies, turned in ((5e-2, 5e-4), (5e-2, 1e-4), (5e-4, 1e-9), (5e-5, 1e-9)):
        network = Network(network=["Flatten", "Linear"], num_classes=2)
        weight, bias = network.parameters()
        with torch.no_grad():
            weight.zero_()
            bias.copy_(torch.tensor([-math.log(turned), 0]))
            weight[0, 2 * 28 + 3] = math.log(turned / as_it_lies)
        write(network.eval())
        page = opened()
        is_turned, seen = page.evaluate(
            """(bytes) => {
                const { isTurned, image } = read(Uint8Array.from(bytes), true);
                return [isTurned, Array.from(image)];
            }""",
            image.ravel().tolist(),
        )
        expected = upright(network, pictures.Picture(image, "", may_lie=True))
        assert is_turned == bool(expected.note) == (as_it_lies > 200 * max(turned, 1e-6))
        assert seen == expected.image.ravel().tolist()


def test_shadows_and_notes(opened: Opened) -> None:
    """In light and in shadow, with ink of any thickness, touching an edge, scattered, doubled."""
    write(pretrained())
    page = opened()
    rng = np.random.default_rng(6)
    for width in (3, 9, 20):
        picture = Image.new("L", (320, 240), 230)
        pen = ImageDraw.Draw(picture)
        pen.line((120, 50, 200, 50, 140, 190), 40, width, joint="curve")
        values = np.asarray(picture, np.float32)
        y, x = np.mgrid[:240, :320]
        shade = 1 - 0.4 / (1 + np.exp(-(x - 150 + 0.5 * y - 80) / 5))
        Image.fromarray((values * shade).astype(np.uint8)).save(f"shadow{width}.png")
    for name, turn in (("box", 0), ("turned box", 2), ("boxes", 1), ("underlined", -1)):
        picture = Image.new("L", (260, 200), 230)
        pen = ImageDraw.Draw(picture)
        pen.line((110, 70, 150, 70, 120, 130), 40, 6)
        if name == "underlined":
            pen.line((40, 150, 220, 150), 90, 3)
        else:
            pen.rectangle((80, 45, 180, 150), outline=90, width=3)
        if name == "boxes":  # the second is empty
            pen.rectangle((190, 45, 250, 150), outline=90, width=3)
        picture.rotate(turn, fillcolor=230).save(f"{name}.png")
        show(page, f"{name}.png")
        image = np.array(page.evaluate("Array.from(result.image)"))
        assert difference(image, f"{name}.png", "mnist", 28) <= 1, name
        assert page.inner_text("#answer").startswith("The network reads 7"), name
    Image.fromarray(rng.integers(0, 256, (90, 120), np.uint8)).save("noise.png")
    Image.fromarray(rng.normal(200, 8, (90, 120)).clip(0, 255).astype(np.uint8)).save("faint.png")
    corner = Image.open("underlined.png")
    ImageDraw.Draw(corner).rectangle((0, 0, 18, 24), 40)
    corner.save("corner.png")
    for name in ("shadow3", "shadow9", "shadow20", "corner", "noise", "faint"):
        show(page, f"{name}.png")
        image = np.array(page.evaluate("Array.from(result.image)"))
        assert difference(image, f"{name}.png", "mnist", 28) <= 1, name
        note = pictures.read(f"{name}.png").note
        assert page.inner_text("#note") == (f"Take care: {note}" if note else ""), name
        assert bool(note) == (name in ("noise", "faint"))
    page.click("#clear")
    assert page.inner_text("#note") == ""
