"""Finding the separate characters of a line or a sheet, in reading order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_lit.pictures.constants import (
    DUST,
    EDGE_SIZE,
    PART_GAP,
    PART_OVERLAP,
    SPECK,
    STACK_GAP,
    STACK_HEIGHT,
    WIDEST_CHARACTER,
    WIDEST_PART,
)
from mnist_lit.pictures.ink import SEVERAL_NOTE, Marks, ink_of, is_noise, marks
from mnist_lit.pictures.parts import Extents, Mask, sides

Grey = NDArray[np.float32]


class Box(NamedTuple):
    """A rectangle in a picture, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Character(NamedTuple):
    """A character's place, how much ink each pixel about it holds, 0 to 1, and what seems wrong."""

    box: Box
    ink: Grey
    note: str


def find_characters(grey: Grey) -> list[Character]:
    """Return the separate characters of a picture, line by line from left to right.

    Boxes and lines that are printed about them don't count. Strokes that lie above each other, as
    those of an i, or within each other are one character.

    Args:
        grey: Light ink on a dark ground, values 0 to 255, of shape H×W.
    """
    found = marks(grey)
    if is_noise(found):
        return []
    numbers, extents, height = _without_dust(found)
    if not len(numbers):
        return []
    n, groups = _connected(_belong_together(extents, height))
    boxes = np.stack([_around(extents[groups == group]) for group in range(n)])
    return [
        _character(found, numbers[groups == group], boxes[group])
        for group in _reading_order(boxes)
        if np.max(sides(boxes[group : group + 1])) >= SPECK * height
    ]


def _around(extents: Extents) -> Extents:
    """Return the bounding box of bounding boxes."""
    least, most = extents.min(axis=0), extents.max(axis=0)
    return np.array([least[0], most[1], least[2], most[3]])


def _without_dust(found: Marks) -> tuple[NDArray[np.int64], Extents, float]:
    """Return the numbers of the parts that may be characters, their boxes and a typical height."""
    _, extents, areas = found.parts
    heights, widths = sides(extents)
    at_edge = found.parts.at_edge
    kept = widths <= WIDEST_PART * heights
    inner = kept & ~at_edge
    if inner.any():  # a folder's edge is larger than the characters
        kept &= ~at_edge | (heights <= EDGE_SIZE * _typical(heights[inner], areas[inner]))
    kept &= areas >= DUST * _typical(areas[kept], areas[kept])
    numbers = np.flatnonzero(kept)
    return numbers + 1, extents[kept], _typical(heights[kept], areas[kept])


def _typical(values: NDArray[np.int64], areas: NDArray[np.int64]) -> float:
    """Return the median over the ink, so that much dust doesn't count."""
    if not len(values):
        return 0
    order = np.argsort(values)
    share = np.cumsum(areas[order]) / areas.sum()
    return float(values[order][np.searchsorted(share, 0.5)])


def _overlaps(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far each two of the spans overlap; below 0 it is the gap between them."""
    overlap: NDArray[np.int64] = np.minimum.outer(last, last) - np.maximum.outer(first, first)
    return overlap


def _belong_together(extents: Extents, height: float) -> Mask:
    """Tell of each two parts whether they are of one character."""
    heights, widths = sides(extents)
    top, bottom, left, right = extents.T
    down, across = _overlaps(top, bottom), _overlaps(left, right)
    above_each_other = (
        (across >= PART_OVERLAP * np.minimum.outer(widths, widths))
        & (down >= -STACK_GAP * height)
        & (np.maximum.outer(bottom, bottom) - np.minimum.outer(top, top) <= STACK_HEIGHT * height)
    )
    areas = heights * widths
    within = down.clip(0) * across.clip(0) >= PART_OVERLAP * np.minimum.outer(areas, areas)
    # A stroke that broke off is smaller than a character.
    smaller = np.minimum.outer(heights, heights) < PART_OVERLAP * height
    broken = smaller & (np.minimum(down, across) >= -PART_GAP * height)
    together: Mask = above_each_other | within | broken
    return together


def _connected(related: Mask) -> tuple[int, NDArray[np.int32]]:
    """Return how many groups of related things there are, and the group of each."""
    from scipy.sparse.csgraph import connected_components  # a tenth of the time `predict` takes

    n, groups = connected_components(related, directed=False)
    return n, groups


def _reading_order(boxes: Extents) -> list[int]:
    """Return the places of the boxes line by line, also where lines aren't quite level."""
    heights, _ = sides(boxes)
    top, bottom, left, right = boxes.T
    centre = left + right
    distance = np.subtract.outer(centre, centre).astype(np.float64)
    beside = _overlaps(top, bottom) >= PART_OVERLAP * np.minimum.outer(heights, heights)
    distance[~beside | (distance <= 0)] = np.inf
    # Each box continues the line of the nearest to its left.
    follows = np.isfinite(distance) & (distance == distance.min(axis=1, keepdims=True))
    n, line = _connected(follows)
    middle = (top + bottom) / 2
    height = np.array([middle[line == number].mean() for number in range(n)])
    return [int(i) for i in np.lexsort((left, height[line]))]


def _character(found: Marks, numbers: NDArray[np.int64], extent: Extents) -> Character:
    top, bottom, left, right = (int(end) for end in extent)
    box = Box(left, top, right - left, bottom - top)
    margin = max(box.width, box.height)  # thickened strokes need the room
    place = (
        slice(max(top - margin, 0), bottom + margin),
        slice(max(left - margin, 0), right + margin),
    )
    near = found._replace(above=found.above[place])
    ink = ink_of(near, np.isin(found.parts.numbers[place], numbers))
    note = SEVERAL_NOTE if box.width > WIDEST_CHARACTER * box.height else ""
    return Character(box, ink, note)
