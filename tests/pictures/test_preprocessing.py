"""From pictures to images; the oracle is the network's own answer on the same digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError
from mnist_lit.network import inference
from mnist_lit.pictures import preprocessing as pictures
from small_data import drawn

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> tuple[Bytes, NDArray[np.int64]]:
    """500 digits of the embedded sample, 50 of each."""
    images, labels = sample.load()["train"]
    return images[::6, 0].numpy(), labels[::6].numpy()


def answers(images: Any) -> NDArray[np.int64]:
    network = checkpoints.read("pretrained").build()
    found = inference.log_probabilities(network, torch.from_numpy(np.stack(images))[:, None])
    labels: NDArray[np.int64] = found.argmax(1).numpy()
    return labels


def test_mnist_images_stay_as_they_are(digits: tuple[Bytes, Any]) -> None:
    for image in digits[0]:
        Image.fromarray(image).save("digit.png")
        picture = pictures.read("digit.png")
        assert np.array_equal(picture.image, image) and picture.note == ""
        Image.fromarray(255 - image).save("digit.bmp")
        assert np.array_equal(pictures.read("digit.bmp").image, image)


@pytest.mark.parametrize("name", ["digit.png", "digit.jpg"])
def test_enlarged_digits(digits: tuple[Bytes, Any], name: str) -> None:
    rng = np.random.default_rng(0)
    seen = []
    for image in digits[0]:
        drawn(image, rng).save(name, quality=60)
        seen.append(pictures.read(name).image)
    lost = np.mean(answers(digits[0]) == digits[1]) - np.mean(answers(seen) == digits[1])
    assert lost <= 0.005


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["digit.png", "digit.jpg"])
def test_enlarged_test_images(mnist_dir: Path, name: str) -> None:
    test = Published("mnist", str(mnist_dir)).read("test")
    images, labels = (part[:500].numpy() for part in test)
    rng = np.random.default_rng(0)
    seen = []
    for image in images[:, 0]:
        drawn(image, rng).save(name, quality=60)
        seen.append(pictures.read(name).image)
    lost = np.mean(answers(images[:, 0]) == labels) - np.mean(answers(seen) == labels)
    assert lost <= 0.005
    for image in images[:, 0]:
        Image.fromarray(image).save("digit.png")
        assert np.array_equal(pictures.read("digit.png").image, image)


@pytest.mark.parametrize(
    "kind", ["shadow", "lamp", "grey paper", "noise", "edge", "dust", "light on dark", "faint"]
)
def test_photographs(digits: tuple[Bytes, Any], kind: str) -> None:
    """Ink on paper as a camera sees it; what the network makes of it hardly changes."""
    rng = np.random.default_rng(1)
    seen = []
    chosen = slice(None, None, 5)
    for image in digits[0][chosen]:
        page = np.asarray(drawn(image, rng, 8), np.float32) / 255
        height, width = page.shape
        y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
        if kind == "shadow":
            page = page * (0.45 + 0.5 * x)
        elif kind == "lamp":
            page = page * (1 - 0.5 * ((x - 0.3) ** 2 + (y - 0.6) ** 2))
        elif kind == "grey paper":
            page = 0.35 + 0.3 * page
        elif kind == "noise":
            page = 0.1 + 0.8 * page + rng.normal(0, 0.04, page.shape)
        elif kind == "edge":
            page = np.pad(page, ((0, 0), (0, 12)), constant_values=0.2)
        elif kind == "dust":
            for row, column in rng.integers(2, min(page.shape) - 4, (6, 2)):
                page[row : row + 3, column : column + 3] = 0.2
        elif kind == "light on dark":
            page = 0.9 - 0.8 * page
        elif kind == "faint":
            page = 0.8 + 0.15 * page
        shot = Image.fromarray((page.clip(0, 1) * 255).astype(np.uint8))
        shot.save("photo.jpg", quality=85)
        seen.append(pictures.read("photo.jpg").image)
    labels = digits[1][chosen]
    lost = np.mean(answers(digits[0][chosen]) == labels) - np.mean(answers(seen) == labels)
    assert lost <= 0.02


def test_box_and_centre_of_mass() -> None:
    """The box is 20 pixels on its longer side, the mass in the middle."""
    page = np.full((300, 200), 255, np.uint8)
    page[20:260, 150:170] = 0  # a bar, and a foot to its left
    page[240:260, 50:150] = 0
    Image.fromarray(page).save("bars.png")
    image = pictures.read("bars.png").image
    rows, columns = np.nonzero(image)
    assert rows.max() - rows.min() + 1 == 20
    assert columns.max() - columns.min() + 1 == 10
    weights = image / image.sum()
    y, x = np.mgrid[:28, :28]
    assert abs((weights * y).sum() - 13.5) <= 0.5 and abs((weights * x).sum() - 13.5) <= 0.5


@pytest.mark.mnist
@pytest.mark.parametrize("part", ["test", pytest.param("train", marks=pytest.mark.slow)])
def test_no_mnist_image_changes(mnist_dir: Path, part: str) -> None:
    images, _ = Published("mnist", str(mnist_dir)).read(part)
    for image in images[:, 0].numpy():
        assert np.array_equal(pictures.prepare(image.astype(np.float32)).image, image)


def glyph(side: int, light: bool = False, shift: int = 0) -> Image.Image:
    """An h of strokes a tenth as wide as it is high, on a page of twice its height."""
    ink, ground = (230, 20) if light else (20, 230)
    page = Image.new("L", (2 * side + shift, 2 * side), ground)
    pen = ImageDraw.Draw(page)
    x, y, width, height, stroke = side // 2 + shift, side // 2, side * 6 // 10, side, side // 10
    pen.rectangle((x, y, x + stroke - 1, y + height - 1), ink)
    pen.rectangle((x, y + height // 2, x + width - 1, y + height // 2 + stroke - 1), ink)
    pen.rectangle((x + width - stroke, y + height // 2, x + width - 1, y + height - 1), ink)
    return page


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("side", [20, 60, 128, 400])
def test_box_of_emnist(side: int, light: bool) -> None:
    """The box is 24 pixels on its longer side and lies, not the mass, in the middle."""
    glyph(side, light, shift=side // 3).save("h.png")
    picture = pictures.read("h.png", "emnist")
    image = picture.image
    assert picture.note == "" and image.shape == (28, 28) and image.dtype == np.uint8
    assert image.max() == 255
    rows, columns = np.nonzero(image > 16)
    assert (rows.min(), rows.max()) == (2, 25)  # a border of 2 around 24
    assert 14 <= columns.max() - columns.min() + 1 <= 16  # 6 tenths of 24: the aspect is kept
    assert abs(columns.min() + columns.max() - 27) <= 1
    # Edges are soft: the rim of a wide stroke is neither black nor white.
    assert 30 < image[2, columns.min() + 1] < 225 and image[24, columns.min() + 1] > 225
    # The mass is elsewhere, so MNIST's preprocessing gives another image.
    y, _ = (image * np.mgrid[:28, :28]).sum((1, 2)) / image.sum()
    assert y > 14.5
    assert abs(pictures.read("h.png").image.astype(int) - image).max() > 100


@pytest.mark.parametrize("angle", range(0, 180, 20))
def test_emnist_images_stay_as_they_are(angle: int) -> None:
    glyph(100, light=True).rotate(angle, fillcolor=20).save("h.png")
    image = pictures.read("h.png", "emnist").image
    for name, again in (("light.png", image), ("dark.png", 255 - image)):
        Image.fromarray(again).save(name)
        picture = pictures.read(name, "emnist")
        assert np.array_equal(picture.image, image) and picture.note == ""


@pytest.mark.parametrize("change", ["moved", "smaller"])
def test_emnist_makes_other_28x28_pictures_again(change: str) -> None:
    glyph(100).save("h.png")
    image = pictures.read("h.png", "emnist").image
    other = np.zeros_like(image)
    if change == "moved":
        other[:, 5:] = image[:, :-5]
    else:
        other[7:21, 7:21] = np.asarray(Image.fromarray(image).resize((14, 14)))
    picture = pictures.prepare(other.astype(np.float32), "emnist")
    rows, columns = np.nonzero(picture.image > 16)
    assert (rows.min(), rows.max()) == (2, 25) and abs(columns.min() + columns.max() - 27) <= 1


@pytest.mark.parametrize("border", [None, 255])
def test_plain_takes_28x28_as_it_is(border: int | None) -> None:
    image = np.random.default_rng(3).integers(0, 256, (28, 28), np.uint8)
    if border is not None:
        image[[0, -1]] = image[:, [0, -1]] = border
    Image.fromarray(image).save("noise.png")
    picture = pictures.read("noise.png", "plain")
    assert np.array_equal(picture.image, image) and picture.note == ""


def test_plain_colour_picture() -> None:
    """Twice as wide as high, in colour: it fills the width, and its ground the rest."""
    page = Image.new("RGB", (112, 56), (40, 0, 40))
    page.paste((250, 200, 150), (28, 14, 84, 42))
    page.save("shirt.png")
    image = pictures.read("shirt.png", "plain").image
    ground, inside = (
        Image.new("RGB", (1, 1), c).convert("L").getpixel((0, 0))
        for c in ((40, 0, 40), (250, 200, 150))
    )
    assert isinstance(ground, int) and isinstance(inside, int) and ground < inside
    assert np.all(image[:10] == ground) and np.all(image[-10:] == ground)
    assert np.all(image[12:16, 8:20] == inside)
    tall = np.asarray(page.convert("L"), np.float32).T
    assert np.array_equal(pictures.prepare(np.ascontiguousarray(tall), "plain").image, image.T)


def test_plain_turns_large_pictures_light_on_dark() -> None:
    page = np.full((280, 280), 240, np.float32)
    page[70:210, 70:210] = 40
    image = pictures.prepare(page, "plain").image
    assert np.all(image[:6] == 15) and np.all(image[8:20, 8:20] == 215)
    assert np.array_equal(pictures.prepare(255 - page, "plain").image, image)


def test_plain_keeps_a_faint_picture() -> None:
    page = np.full((56, 56), 200, np.float32)
    page[14:42, 14:42] = 210
    picture = pictures.prepare(page, "plain")
    assert picture.note == "blank: nothing to be seen"
    assert picture.image[0, 0] == 200 and picture.image[14, 14] == 210


def test_unknown_preprocessing() -> None:
    with pytest.raises(KeyError, match="fashion"):
        pictures.prepare(np.zeros((28, 28), np.float32), "fashion")


@pytest.mark.parametrize("preprocessing", ["mnist", "emnist"])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_blank(grey: int, preprocessing: str) -> None:
    Image.new("L", (300, 200), grey).save("blank.png")
    picture = pictures.read("blank.png", preprocessing)
    assert picture.note == "blank: no ink found" and not picture.image.any()


SIDES = [8, 20, 48, 64, 256]


def extents(image: Bytes, above: int = 0) -> tuple[slice, slice]:
    rows, columns = np.nonzero(image > above)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


@pytest.mark.parametrize("side", SIDES)
def test_proportions_of_mnist_at_any_size(side: int) -> None:
    picture = pictures.prepare(np.asarray(glyph(200), np.float32), "mnist", side)
    assert picture.image.shape == (side, side) and picture.note == ""
    rows, columns = extents(picture.image)
    height = round(side * 20 / 28)
    assert rows.stop - rows.start == height
    assert abs((columns.stop - columns.start) - 0.6 * height) <= 1
    y, x = (picture.image * np.mgrid[:side, :side]).sum((1, 2)) / picture.image.sum()
    assert abs(y - (side - 1) / 2) <= 0.6 and abs(x - (side - 1) / 2) <= 0.6


@pytest.mark.parametrize("side", SIDES)
def test_proportions_of_emnist_at_any_size(side: int) -> None:
    picture = pictures.prepare(np.asarray(glyph(200), np.float32), "emnist", side)
    assert picture.image.shape == (side, side) and picture.note == ""
    rows, columns = extents(picture.image, 64)
    assert abs((rows.stop - rows.start) - side * 24 / 28) <= 1.5  # soft edges
    for extent in (rows, columns):
        assert abs(extent.start + extent.stop - side) <= 2


@pytest.mark.parametrize("preprocessing", pictures.PREPROCESSING)
@pytest.mark.parametrize("side", SIDES)
def test_an_image_of_any_size_stays_as_it_is(side: int, preprocessing: str) -> None:
    first = pictures.prepare(np.asarray(glyph(90), np.float32), preprocessing, side).image
    for again in (first, 255 - first) if preprocessing != "plain" else (first,):
        grey = again.astype(np.float32)
        assert np.array_equal(pictures.prepare(grey, preprocessing, side).image, first)


def test_a_digit_is_the_same_digit_at_another_size(digits: tuple[Bytes, Any]) -> None:
    """Scaled back to 28×28, what a larger network sees is what MNIST has."""
    seen = []
    for image in digits[0][::5]:
        page = np.asarray(drawn(image, np.random.default_rng(6)), np.float32)
        large = pictures.prepare(page, "mnist", 56).image
        seen.append(np.asarray(Image.fromarray(large).resize((28, 28), Image.Resampling.BOX)))
    labels = digits[1][::5]
    lost = np.mean(answers(digits[0][::5]) == labels) - np.mean(answers(seen) == labels)
    assert lost <= 0.02


def test_plain_at_another_size() -> None:
    page = np.full((64, 128), 240, np.float32)
    page[:, 32:96] = 40
    image = pictures.prepare(page, "plain", 64).image
    assert np.all(image[:16] == 15) and np.all(image[20:44, 20:44] == 215)
    kept = np.full((64, 64), 240, np.float32)
    assert np.all(pictures.prepare(kept, "plain", 64).image == 240)


def test_constants_are_plain_data() -> None:
    found = pictures.CONSTANTS
    assert {"working_side": 512, "along_side": 0.6, "mnist_box": 20, "emnist_box": 24}.items() <= (
        found.items()
    )
    assert all(type(value) in (int, float, tuple) for value in found.values())


def test_damaged_file() -> None:
    Path("text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"^text\.png is not a whole PNG"):
        pictures.read("text.png")
