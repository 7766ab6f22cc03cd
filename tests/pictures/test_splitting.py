"""Separate characters of one picture, found in reading order."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import small_data
from mnist_lit import predict
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.pictures.splitting import Box

CELL, HEIGHT = 80, 46
Grey = NDArray[np.float32]


class Sheet:
    """Dark ink on a light page; characters are put into cells of 80×80 pixels."""

    def __init__(self, columns: int, rows: int = 1) -> None:
        self.page = Image.new("L", (columns * CELL + 120, rows * (CELL + 40) + 80), 235)
        self.pen = ImageDraw.Draw(self.page)

    def place(self, column: int, row: int = 0) -> tuple[int, int]:
        return 60 + column * CELL, 60 + row * (CELL + 40)

    def digit(self, digit: NDArray[np.uint8], column: int, row: int = 0, *, down: int = 17) -> Box:
        rows, columns = np.nonzero(digit > 100)
        ink = Image.fromarray(digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        width = max(round(ink.width * HEIGHT / ink.height), 3)
        ink = ink.resize((width, HEIGHT), Image.Resampling.BICUBIC)
        x, y = self.place(column, row)
        x, y = x + (CELL - width) // 2, y + down
        self.page.paste(20, (x, y), ink)
        return Box(x, y, width, HEIGHT)

    def grey(self, turn: float = 0) -> Grey:
        light = np.linspace(0, -40, self.page.width)  # from the left
        noise = np.random.default_rng(3).normal(0, 2, self.page.size[::-1])
        page = self.page.rotate(turn, Image.Resampling.BICUBIC, fillcolor=235)
        return (np.asarray(page) + light + noise).clip(0, 255).astype(np.float32)


def boxes(grey: Grey) -> list[Box]:
    return [picture.box for picture in pictures.split(grey) if picture.box]


def close(found: list[Box], expected: list[Box]) -> bool:
    return len(found) == len(expected) and bool(np.abs(np.subtract(found, expected)).max() <= 6)


@pytest.fixture(scope="module")
def digits() -> list[NDArray[np.uint8]]:
    images, labels = small_data.digits(40, 10)
    # Each of one stroke that hangs together.
    return [images[list(labels).index(n)] for n in range(10)]


@pytest.mark.parametrize("turn", [0, 1.5])
def test_in_reading_order(digits: list[NDArray[np.uint8]], turn: float) -> None:
    sheet = Sheet(5, 2)
    expected = [sheet.digit(digits[n], n % 5, n // 5, down=17 + 3 * (n % 3)) for n in range(10)]
    assert turn or close(boxes(sheet.grey(turn)), expected)
    Image.fromarray(sheet.grey(turn).astype(np.uint8)).save("sheet.png")
    rows = list(predict("sheet.png", "pretrained", split=True))
    assert [row.label for row in rows] == [str(n) for n in range(10)]
    assert {row.note for row in rows} == {""}


@pytest.mark.parametrize("turn", [-1, 0, 1])
@pytest.mark.parametrize("kind", ["boxes", "comb", "line"])
def test_print_is_left_out(digits: list[NDArray[np.uint8]], kind: str, turn: float) -> None:
    sheet = Sheet(6)
    down = 26 if kind == "line" else 17
    expected = [sheet.digit(digits[n], n, down=down) for n in range(5)]  # the sixth cell is empty
    left, top = sheet.place(0)
    if kind == "comb":
        sheet.pen.rectangle((left, top, left + 6 * CELL, top + CELL), outline=110, width=3)
    for n in range(6):
        x = left + n * CELL
        if kind == "comb":
            sheet.pen.line((x, top, x, top + CELL), 110, 3)
        elif kind == "boxes":
            sheet.pen.rectangle(
                (x + 4, top + 4, x + CELL - 4, top + CELL - 4), outline=110, width=3
            )
    if kind == "line":  # the characters stand on it
        sheet.pen.line((left, top + 72, left + 6 * CELL, top + 72), 110, 3)
    found = boxes(sheet.grey(turn))
    assert len(found) == 5 and (turn or close(found, expected))


def test_strokes_of_one_character() -> None:
    sheet = Sheet(4)
    for n, (x, y) in enumerate(sheet.place(n) for n in range(4)):
        sheet.pen.line((x + 40, y + 30, x + 40, y + 70), 20, 5)
        if n == 0:
            sheet.pen.ellipse((x + 36, y + 12, x + 44, y + 20), 20)  # an i
        elif n == 1:
            sheet.pen.line((x + 40, y + 28, x + 62, y + 28), 20, 5)  # a bar beside it
        elif n == 2:
            sheet.pen.ellipse((x + 20, y + 10, x + 70, y + 75), outline=20, width=5)  # around it
    found = boxes(sheet.grey())
    assert len(found) == 4 and found[0].height > 55 and found[2].width > 45


def test_dust_and_an_edge_are_no_characters(digits: list[NDArray[np.uint8]]) -> None:
    sheet = Sheet(3)
    expected = [sheet.digit(digits[n], n) for n in (2, 1, 0)][::-1]
    sheet.pen.rectangle((0, 0, 30, sheet.page.height), 60)  # a folder's
    for x in range(80, 300, 40):
        sheet.pen.ellipse((x, 30, x + 3, 33), 20)
    assert close(boxes(sheet.grey()), expected)


def test_characters_that_touch_are_flagged(digits: list[NDArray[np.uint8]]) -> None:
    sheet = Sheet(3)
    sheet.digit(digits[3], 0)
    for n in (1, 2):
        sheet.digit(digits[n], n)
    x, y = sheet.place(1)
    sheet.pen.line((x + 40, y + 40, x + CELL + 40, y + 40), 20, 4)
    assert [each.note for each in pictures.split(sheet.grey())] == ["", "more than one character?"]


@pytest.mark.parametrize("what", ["nothing", "noise", "one"])
def test_as_a_picture_of_one(digits: list[NDArray[np.uint8]], what: str) -> None:
    grey = np.full((90, 120), 200, np.float32)
    if what == "noise":
        grey = np.random.default_rng(1).uniform(0, 255, grey.shape).astype(np.float32)
    elif what == "one":
        sheet = Sheet(1)
        sheet.digit(digits[7], 0)
        grey = sheet.grey()
    (found,) = pictures.split(grey)
    alone = pictures.prepare(grey)
    assert np.array_equal(found.image, alone.image) and found.note == alone.note
    assert found.box and (what == "one" or found.box == Box(0, 0, 120, 90))


def test_the_box_is_in_the_files_own_pixels(digits: list[NDArray[np.uint8]]) -> None:
    sheet = Sheet(4)
    expected = [sheet.digit(digits[n], n) for n in range(4)]
    large = Image.fromarray(sheet.grey().astype(np.uint8)).resize(
        (sheet.page.width * 4, sheet.page.height * 4)
    )
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° to the right
    large.transpose(Image.Transpose.ROTATE_90).save("sheet.jpg", exif=exif)
    found = pictures.read_split("sheet.jpg", "mnist", 28)
    assert close([Box(*(n // 4 for n in each.box or ())) for each in found], expected)
