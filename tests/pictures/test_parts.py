"""Connected parts, and masks made wider and narrower."""

import numpy as np
from numpy.typing import NDArray

from mnist_lit.pictures.parts import Parts, narrowed, spans, widened


def mask(*rows: str) -> NDArray[np.bool_]:
    return np.array([[cell == "#" for cell in row] for row in rows])


def test_parts_are_numbered_as_they_are_met() -> None:
    # Block by block of 2×2 pixels, the part at the left would be met first.
    found = Parts.of(mask("...#", "##.#", "#...", "..##", ".#.."))
    assert found.numbers.tolist() == [
        [0, 0, 0, 1], [2, 2, 0, 1], [2, 0, 0, 0], [0, 0, 3, 3], [0, 3, 0, 0],
    ]  # fmt: skip
    assert found.extents.tolist() == [[0, 2, 3, 4], [1, 3, 0, 2], [3, 5, 1, 4]]
    assert found.areas.tolist() == [2, 3, 3]


def test_no_parts() -> None:
    found = Parts.of(mask("...", "..."))
    assert not found.numbers.any() and found.extents.shape == (0, 4) and not len(found.areas)


def test_any_view_of_a_mask() -> None:
    """OpenCV takes no other strides than rows one after the other."""
    whole = mask("#..#", "#...", "#.##")
    assert np.array_equal(Parts.of(whole.T[::-1]).numbers, Parts.of(whole.T[::-1].copy()).numbers)
    assert np.array_equal(widened(whole.T), widened(whole).T)


def test_wider() -> None:
    dot = np.zeros((7, 7), np.bool_)
    dot[3, 3] = True
    steps = np.add.outer(abs(np.arange(7) - 3), abs(np.arange(7) - 3))
    for reach in (1, 2, 3):
        assert np.array_equal(widened(dot, reach), steps <= reach)


def test_narrower() -> None:
    found = narrowed(mask("#####.", "#####.", "#####.", "....#."))
    assert np.array_equal(found, mask("......", ".###..", "......", "......"))


def test_spans() -> None:
    assert spans(mask("##..#.###")[0]).tolist() == [[0, 2], [4, 5], [6, 9]]
    assert spans(mask("....")[0]).shape == (0, 2)
