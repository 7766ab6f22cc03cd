"""Finding what is printed around a character: ruled lines, boxes, squared paper, a black border."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_lit.pictures.constants import (
    LEAST_CHARACTER,
    LINE_DARKER,
    LINE_END,
    LINE_SHARE,
    LINE_SLOPES,
    LINE_SWELL,
    MOST_PRINTED,
    STEEPEST_LINE,
)
from mnist_lit.pictures.parts import Mask, Parts, sides, spans, widened

Grey = NDArray[np.float32]


class Lines(NamedTuple):
    """Straight lines of one direction in a mask.

    Args:
        erased: The pixels that belong to a line and to nothing else.
        bands: The lines with what crosses them.
    """

    erased: Mask
    bands: Mask


def lines(above: Grey, mask: Mask) -> Mask:
    """Return the pixels of straight lines that run from one side of a picture to the other.

    What crosses a line stays, and what is darker; of what only touches it, the line's part goes.
    Nothing is a line if no character would be left.

    Args:
        above: How far each pixel lies above the ground, H×W.
        mask: What may be ink or a line.
    """
    if mask.mean() > MOST_PRINTED:  # noise
        return np.zeros_like(mask)
    across, down = level_lines(above, mask), level_lines(above.T, mask.T)
    found: Mask = mask & (across.erased | down.erased.T | (across.bands & down.bands.T))
    if not found.any():
        return found
    longest = np.max(sides(Parts.of(mask & ~found).extents), initial=0)
    if longest < LEAST_CHARACTER * min(mask.shape):
        return np.zeros_like(mask)
    return found


def level_lines(above: Grey, mask: Mask) -> Lines:
    """Return the lines, nearly level, that run from the left side of a picture to the right."""
    height, width = mask.shape
    nothing = Lines(np.zeros_like(mask), np.zeros_like(mask))
    least, sharpest, counts, steepness = LINE_SHARE * width, 0, None, 0.0
    if mask.any(axis=0).sum() < least:  # no line is in fewer columns
        return nothing
    # A thin line's pixels may lie a row beside its track.
    mask, narrow = mask.copy(), mask
    mask[1:] |= narrow[:-1]
    mask[:-1] |= narrow[1:]
    # Sheared by the right slope, lines lie level, and their pixels in as few rows as can be.
    rows, columns = np.nonzero(mask)
    below = int(STEEPEST_LINE * width) + 1  # how far a sheared row may lie outside
    from_middle = np.arange(width) - (width - 1) / 2
    for slope in np.linspace(-STEEPEST_LINE, STEEPEST_LINE, LINE_SLOPES):
        shift = np.rint(slope * from_middle).astype(np.int64) - below
        found = np.bincount(rows - shift[columns], minlength=height + 2 * below)
        if found.max() >= least and (sharpness := int(found @ found)) > sharpest:
            sharpest, counts, steepness = sharpness, found, slope
    if counts is None:
        return nothing
    # Neighbouring levels are one line: its thickness.
    erased, bands = nothing
    run_start, run_stop = _runs(mask)
    for start, stop in spans(counts >= least):
        first = start + int(np.argmax(counts[start:stop]))
        track = np.rint(first - below + steepness * from_middle).astype(np.int64)
        _erase(above, mask, track, run_start, run_stop, erased, bands)
    return Lines(erased, bands)


def _runs(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each pixel of a mask the first row of its vertical run, and the row after it."""
    rows = np.arange(len(mask))[:, None]
    begins = np.where(mask, -1, rows)
    start = np.maximum.accumulate(begins, axis=0) + 1
    ends = np.where(mask, len(mask), rows)
    stop = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    return start, stop


def _erase(
    above: Grey,
    mask: Mask,
    track: NDArray[np.int64],
    run_start: NDArray[np.int64],
    run_stop: NDArray[np.int64],
    erased: Mask,
    bands: Mask,
) -> None:
    """Mark the pixels of the line that lies about a row in each column."""
    height = len(mask)
    columns = np.flatnonzero((track >= 0) & (track < height))
    columns = columns[mask[track[columns], columns]]
    margin = LINE_END * mask.shape[1]
    if columns[0] > margin or columns[-1] < mask.shape[1] - 1 - margin:
        return  # a stroke of the character
    top = run_start[track[columns], columns]
    bottom = run_stop[track[columns], columns]
    thickness = float(np.median(bottom - top))
    half = thickness / 2
    thickest = thickness * LINE_SWELL + 1
    middle = np.median((top + bottom) / 2 - track[columns]) + track[columns]
    runs = list(zip(columns, top, bottom, strict=True))
    darkest = LINE_DARKER * np.median([above[first:last, x].max() for x, first, last in runs])
    upper = np.maximum(np.rint(middle - half), 0).astype(np.int64)
    lower = np.minimum(np.rint(middle + half), height).astype(np.int64)
    # A stroke that crosses the line goes on above it and below it, if not in the same column.
    rises, falls = np.zeros((2, mask.shape[1]), np.bool_)
    rises[columns], falls[columns] = top < upper - 1, bottom > lower + 1
    near_rise, near_fall = (widened(row[None], round(thickness))[0] for row in (rises, falls))
    crossed = (rises & near_fall) | (falls & near_rise)
    for (x, first, last), high, low in zip(runs, upper, lower, strict=True):
        own = above[:, x] <= darkest
        bands[high:low, x] = own[high:low]
        if crossed[x]:
            continue
        if last - first > thickest:  # a stroke ends at the line
            first, last = high, low
        erased[first:last, x] |= own[first:last]
