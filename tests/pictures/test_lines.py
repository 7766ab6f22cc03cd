"""Printed lines go, and what crosses or touches them stays."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from mnist_lit.pictures.lines import lines

Mask = NDArray[np.bool_]


def drawn(*strokes: tuple[int, ...], width: int = 3, size: tuple[int, int] = (160, 120)) -> Mask:
    page = Image.new("1", size)
    pen = ImageDraw.Draw(page)
    for stroke in strokes:
        pen.line(stroke, 1, width)
    return np.asarray(page)


def found(mask: Mask) -> Mask:
    return lines(np.where(mask, 100, 0).astype(np.float32), mask)


@pytest.mark.parametrize("size", [(400, 6), (6, 400), (400, 1), (1, 1)])
def test_narrow_pictures(size: tuple[int, int]) -> None:
    """Sheared, their rows lie further outside than they are high."""
    width, height = size
    mask = drawn((0, height // 2, width - 1, height // 2), width=1, size=size)
    assert not found(mask).any()  # since nothing else would be left


SEVEN = ((60, 30, 100, 30), (100, 30, 75, 90))
ONE = ((80, 20, 80, 90),)
LINES = {
    "below": ((0, 110, 159, 110),),
    "above and below": ((0, 8, 159, 8), (0, 110, 159, 110)),
    "a little steep": ((0, 106, 159, 112),),
    "at the left": ((12, 0, 12, 119),),
    "frame": ((0, 6, 159, 6), (0, 112, 159, 112), (8, 0, 8, 119), (150, 0, 150, 119)),
}


@pytest.mark.parametrize("strokes", [SEVEN, ONE], ids=["7", "1"])
@pytest.mark.parametrize("name", LINES)
def test_lines_go_and_the_character_stays(name: str, strokes: tuple[tuple[int, ...], ...]) -> None:
    character = drawn(*strokes)
    rest = drawn(*strokes, *LINES[name]) & ~found(drawn(*strokes, *LINES[name]))
    assert np.array_equal(rest, character)


def test_a_stroke_across_a_line_stays() -> None:
    stroke, line = drawn((70, 20, 90, 110)), drawn((0, 70, 159, 70))
    rest = (stroke | line) & ~found(stroke | line)
    assert rest[stroke].mean() > 0.97 and ndimage.label(rest, np.ones((3, 3)))[1] == 1
    assert (rest & ~stroke).sum() <= 12


def test_of_a_stroke_that_ends_at_a_line_the_line_goes() -> None:
    stroke, line = drawn((80, 20, 80, 90)), drawn((0, 90, 159, 90))
    rest = (stroke | line) & ~found(stroke | line)
    assert np.array_equal(rest[:88], stroke[:88]) and not rest[92:].any()


def test_ink_darker_than_a_line_stays() -> None:
    bar, line = drawn((60, 60, 100, 60)), drawn((0, 60, 159, 60))
    above = np.where(bar, 200, np.where(line, 60, 0)).astype(np.float32)
    rest = (bar | line) & ~lines(above, bar | line)
    assert np.array_equal(rest, bar)


@pytest.mark.parametrize(
    "strokes",
    [
        ((30, 60, 130, 60),),  # a dash
        ((0, 60, 159, 60),),  # nothing would be left
        ((20, 20, 140, 20), (140, 20, 60, 110)),  # a wide 7
        ((30, 20, 130, 20), (80, 20, 80, 110)),  # T
        ((80, 4, 80, 115), (80, 4, 40, 50)),  # a tall 1
        ((0, 20, 159, 100),),  # too steep
    ],
    ids=["dash", "nothing else", "7", "T", "1", "steep"],
)
def test_strokes_are_no_lines(strokes: tuple[tuple[int, ...], ...]) -> None:
    assert not found(drawn(*strokes)).any()


def test_nothing() -> None:
    assert not found(np.zeros((30, 20), bool)).any()
