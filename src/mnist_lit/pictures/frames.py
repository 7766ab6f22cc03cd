"""Erasing printed boxes, and lines that end before the picture does."""

import numpy as np
from numpy.typing import NDArray

from mnist_lit.pictures.constants import (
    FRAME_SHARE,
    FRAME_SLACK,
    LEAST_BESIDE_LINE,
    LEAST_CHARACTER,
    LINE_FRINGE,
    LONGEST_BAR,
    MOST_PRINTED,
    WIDEST_PART,
)
from mnist_lit.pictures.lines import level_lines, lines
from mnist_lit.pictures.parts import Mask, Parts, sides, widened

Grey = NDArray[np.float32]
Index = tuple[NDArray[np.int64], NDArray[np.int64]]


def without_frames(above: Grey, mask: Mask) -> tuple[Grey, Mask]:
    """Return how far each pixel lies above the ground, and what is drawn, without printed boxes.

    Nothing is erased if nothing would be left. A box with nothing in it is a character, unless
    others have something in them.
    """
    own, rest = above.copy(), mask.copy()
    empty = np.zeros_like(mask)
    any_printed = False
    parts = Parts.of(mask)
    for number, (top, bottom, left, right) in enumerate(parts.extents, 1):
        place = slice(top, bottom), slice(left, right)
        part = parts.numbers[place] == number
        height, width = part.shape
        if max(part.shape) < LEAST_CHARACTER * min(mask.shape):
            continue
        printed = np.zeros_like(part)
        if (inside := _frame(part)) is not None:
            printed[inside] = lines(own[place][inside], rest[place][inside])
            if not printed.any():  # nothing else is there
                empty[place] |= part
                continue
            part[inside] = False
            printed |= part  # ragged ends
        elif width > WIDEST_PART * height:
            printed = rest[place] & level_lines(own[place], rest[place]).erased
            if not _stands_beside(rest, place, printed):
                continue
        if printed.any():
            any_printed = True
            printed = widened(printed, LINE_FRINGE)
            own[place][printed] = rest[place][printed] = 0
    if any_printed:
        rest &= ~empty
    return (own, rest) if rest.any() else (above, mask)


def _stands_beside(mask: Mask, place: tuple[slice, ...], line: Mask) -> bool:
    """Tell whether a mask holds, beside a line at a place in it, what is much taller than it.

    The line is also much longer than that is tall: else it may be the bar of a broken 4.
    """
    rest = mask.copy()
    rest[place][line] = False
    tallest = np.max(sides(Parts.of(rest).extents)[0], initial=0)
    length = line.shape[1]
    return bool(LEAST_BESIDE_LINE * line.sum() / length < tallest < length / LONGEST_BAR)


def _frame(part: Mask) -> Index | None:
    """Return the rows and columns of a printed box in which its sides are level and upright.

    None if the part isn't a printed box: one of its sides isn't straight from corner to corner.
    """
    columns, rows = _level_rows(part)
    down, across = _level_rows(part[rows, columns].T)
    rows, columns = rows[down.T, across.T], columns[down.T, across.T]
    level = part[rows, columns]
    slack = FRAME_SLACK * min(level.shape)
    straight = all(
        np.mean(side.any(axis=0) & (side.argmax(axis=0) <= slack)) >= FRAME_SHARE
        for side in (level, level[::-1], level.T, level.T[::-1])
    )
    if not straight or level.mean() > MOST_PRINTED:
        return None
    full = [np.flatnonzero(level.mean(axis=axis) > 0.5) for axis in (1, 0)]
    if not all(map(len, full)):
        return None
    within = tuple(slice(those[0], those[-1] + 1) for those in full)
    return rows[within], columns[within]


def _level_rows(part: Mask) -> Index:
    """Return the columns and rows of a part in which its upper side is level."""
    height, width = part.shape
    upper, third = part.argmax(axis=0), max(width // 3, 1)
    rise = np.median(upper[-third:]) - np.median(upper[:third])
    across = np.arange(width)
    shift = np.rint(rise / max(width - third, 1) * across).astype(np.int64)
    shift -= shift.min()
    if shift.max() >= height // 2:  # no side of a box
        shift[:] = 0
    rows = np.arange(height - shift.max())[:, None] + shift
    return np.broadcast_to(across, rows.shape), rows
