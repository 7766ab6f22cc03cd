"""Finding the ink, and saying what seems wrong."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.pictures.ink import find_ink, light_on_dark, median


def page() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Light ink, a bar of 20×60, on a ground that gets lighter from left to right."""
    grey = np.tile(np.linspace(10, 90, 120, dtype=np.float32), (100, 1))
    grey[20:80, 50:70] += 120
    return grey


def test_ink_on_an_uneven_ground() -> None:
    ink, note = find_ink(page())
    assert note == "" and ink.dtype == np.float32
    expected = np.zeros((100, 120), bool)
    expected[20:80, 50:70] = True
    assert np.array_equal(ink > 0.5, expected) and ink.max() == 1


@pytest.mark.parametrize("what", ["dust", "edge", "corner"])
def test_what_is_not_the_character_is_left_out(what: str) -> None:
    grey = page()
    clean, _ = find_ink(grey)
    if what == "dust":
        grey[5:8, 5:8] = grey[90:94, 100:103] = 230
    elif what == "edge":
        grey[:, -6:] = 230
    else:
        grey[:14, -9:] = 230
    ink, note = find_ink(grey)
    assert note == "" and np.array_equal(ink > 0.5, clean > 0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1001])
def test_median(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n).astype(np.float32)
    assert median(values) == np.median(values)


def test_a_part_at_the_edge_near_the_largest_is_of_it() -> None:
    grey = page()
    grey[:14, 50:70] = 230  # 6 pixels above the bar
    ink, _ = find_ink(grey)
    assert ink[:14, 50:70].min() > 0.5


@pytest.mark.parametrize("dark", [True, False], ids=["dark ink", "light ink"])
@pytest.mark.parametrize("width", [3, 10, 24])
def test_ink_across_the_edge_of_a_shadow(width: int, dark: bool) -> None:
    page = np.full((240, 320), 220 if dark else 90, np.float32)
    ink = Image.new("1", page.shape[::-1])
    ImageDraw.Draw(ink).line((110, 120, 230, 120), 1, width)
    stroke = np.asarray(ink)
    page[stroke] = 40 if dark else 200
    page[:, 160:] *= 0.6
    light, _ = light_on_dark(page)
    assert (light is page) != dark
    found, _ = find_ink(light)
    # Thin strokes are thickened, and the middle of broad ones is fainter.
    assert np.mean(found[stroke] > 0.3) > 0.8 and np.mean(found[~stroke] > 0.3) < 0.03


def test_light_on_dark_either_way() -> None:
    grey = page()
    light, blank = light_on_dark(255 - grey)
    assert not blank and np.allclose(light, grey)
    light, blank = light_on_dark(grey)
    assert not blank and light is grey
    assert light_on_dark(np.full((30, 40), 200, np.float32))[1]


@pytest.mark.parametrize("kind", ["uniform", "normal", "black and white", "specks"])
@pytest.mark.parametrize("shape", [(28, 28), (300, 200)])
def test_noise(shape: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(4)
    page = {
        "uniform": rng.uniform(0, 255, shape),
        "normal": rng.normal(128, 40, shape).clip(0, 255),
        "black and white": rng.choice([0, 255], shape),
        "specks": rng.choice([0, 255], shape, p=[0.9, 0.1]),
    }[kind].astype(np.float32)
    assert pictures.prepare(page).note == "no clear character"


def test_faint_noise() -> None:
    page = np.random.default_rng(5).normal(200, 8, (300, 200)).astype(np.float32)
    assert pictures.prepare(page).note == "hardly any contrast"


@pytest.mark.parametrize("preprocessing", ["mnist", "emnist"])
def test_thin_slanting_lines_are_not_noise(preprocessing: str) -> None:
    page = Image.new("L", (40, 40), 255)
    ImageDraw.Draw(page).line((5, 5, 34, 34), 0)
    ImageDraw.Draw(page).line((5, 34, 34, 5), 0)
    picture = pictures.prepare(np.asarray(page, np.float32), preprocessing)
    assert picture.note == "" and picture.image.max() == 255


def test_almost_all_ink() -> None:
    page = np.full((100, 100), 255, np.uint8)
    page[14:-14, 14:-14] = 0
    Image.fromarray(page).save("ink.png")
    assert pictures.read("ink.png").note == "almost all ink"


def test_two_characters() -> None:
    page = np.full((100, 200), 255, np.uint8)
    page[20:80, 30:40] = page[20:80, 150:160] = 0
    Image.fromarray(page).save("eleven.png")
    assert pictures.read("eleven.png").note == "more than one character?"


@pytest.mark.parametrize("border", [1, 5])
def test_a_border_is_not_the_ground(border: int) -> None:
    page = np.full((100, 100), 255, np.float32)
    page[20:80, 45:55] = 0
    expected = pictures.prepare(page).image
    for edge in (page[:border], page[-border:], page[:, :border], page[:, -border:]):
        edge[:] = 0
    assert np.array_equal(pictures.prepare(page).image, expected)


def test_a_ground_of_zeros_where_the_smallest_numbers_are_zero() -> None:
    """As training may leave the processor."""
    page = np.zeros((300, 300), np.float32)
    page[30:270, 149:151] = 255  # between the points that the ground is fitted to
    expected = pictures.prepare(page).image
    torch.set_flush_denormal(True)
    try:
        assert np.array_equal(pictures.prepare(page).image, expected)
    finally:
        torch.set_flush_denormal(False)


def test_thin_strokes_are_thickened() -> None:
    page = np.full((300, 300), 255, np.float32)
    page[30:270, 149:151] = 0  # 0.2 pixels of 28
    image = pictures.prepare(page).image
    assert 2 <= (image > 127).sum(1).max() <= 3 and image.max() == 255


def test_a_small_stroke_on_a_large_sheet_is_not_blank() -> None:
    page = np.full((500, 500), 255, np.float32)
    page[240:255, 250:253] = 0
    assert pictures.prepare(page).note == ""


@pytest.mark.parametrize("turn", [0, 2])
@pytest.mark.parametrize("kind", ["box", "boxes", "underlined"])
def test_printed_boxes_within_the_picture(kind: str, turn: float) -> None:
    """They and lines that end before the picture's sides go, and a box beside it that is empty."""

    def drawn(*, printed: bool) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        page = Image.new("L", (260, 200), 230)
        pen = ImageDraw.Draw(page)
        pen.line((110, 70, 150, 70, 120, 130), 40, 6)
        if printed and kind == "underlined":
            pen.line((40, 150, 220, 150), 90, 3)
        elif printed:
            pen.rectangle((80, 45, 180, 150), outline=90, width=3)
        if printed and kind == "boxes":
            pen.rectangle((190, 45, 250, 150), outline=90, width=3)
        return np.asarray(page.rotate(turn, fillcolor=230), np.float32)

    alone, found = (pictures.prepare(drawn(printed=each)).image for each in (False, True))
    assert abs(alone.astype(float) - found).mean() < 4


def test_a_character_like_a_box_stays() -> None:
    page = Image.new("L", (200, 200), 230)
    ImageDraw.Draw(page).rectangle((70, 50, 130, 150), outline=40, width=8)  # a square 0
    ink, note = find_ink(light_on_dark(np.asarray(page, np.float32))[0])
    assert note == "" and ink[100, 74] > 0.5 and ink[100, 100] == 0 and ink[52, 100] > 0.5


def test_the_bar_of_a_broken_character_stays() -> None:
    page = Image.new("L", (200, 200), 230)
    pen = ImageDraw.Draw(page)
    for stroke in ((60, 40, 60, 95), (66, 104, 130, 104), (140, 40, 140, 160)):  # a 4
        pen.line(stroke, 40, 4)
    ink, _ = find_ink(light_on_dark(np.asarray(page, np.float32))[0])
    assert ink[104, 100] > 0.5
