"""Finding the ink in a grey picture, drawn or photographed."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_lit.pictures.constants import (
    ALONG_SIDE,
    CLEAR,
    CURVED_GROUND,
    DUST,
    FAINTEST_INK,
    FARTHEST,
    FINE_STROKE,
    FULL_INK_PERCENTILE,
    GROUND_LEAST_POINTS,
    GROUND_POINTS,
    GROUND_ROUNDS,
    GROUND_SHARE,
    LEAST_CONTRAST,
    LEAST_PART,
    LEAST_STANDING_OUT,
    LINE_FAINTER,
    LINE_FRINGE,
    MNIST_BOX,
    MOST_INK,
    NOISE_CHANGES,
    NOISE_FLOOR,
    NOISE_IN_DEVIATIONS,
    NOISE_PARTS,
    SEVERAL,
    SHADOW_PATCH,
    STROKE_WIDTHS,
    THICKNESS,
    THINNEST,
    WIDEST_OF_PARTS,
)
from mnist_lit.pictures.frames import without_frames
from mnist_lit.pictures.lines import lines
from mnist_lit.pictures.parts import Extents, Mask, Parts, narrowed, sides, spans, widened

Grey = NDArray[np.float32]
BINS = 256  # of Otsu's histogram
SEVERAL_NOTE = "more than one character?"


def light_on_dark(grey: Grey, *, strokes: bool = True) -> tuple[Grey, bool]:
    """Return the picture with its ink light, and whether it shows nothing at all.

    Args:
        grey: Values 0 to 255, of shape H×W.
        strokes: Whether it shows strokes, which are told from shadows by being thin.
    """
    if contrast(grey) < LEAST_CONTRAST:
        return grey, True
    cut = _otsu(grey)
    share = np.mean(grey > cut)
    if strokes and _holds_patch(grey > cut) and _holds_patch(grey <= cut):  # in light and in shadow
        light_ground = _strokes_are_dark(grey)
    elif not 1 - GROUND_SHARE < share < GROUND_SHARE:
        light_ground = bool(share > 0.5)
    else:  # a close crop of bold ink
        light_ground = bool(np.mean(border(grey) > cut) > 0.5)
    return (255 - grey if light_ground else grey), False


def _holds_patch(mask: Mask) -> bool:
    """Tell whether a square too large for a stroke is true along one of the sides."""
    size = round(SHADOW_PATCH * max(mask.shape))
    return size <= min(mask.shape) and any(
        np.max(np.diff(spans(np.all(side[:size], axis=0))), initial=0) >= size
        for side in (mask, mask[::-1], mask.T, mask.T[::-1])
    )


def _strokes_are_dark(grey: Grey) -> bool:
    """Tell whether dark strokes stand out more than light ones, at the width that tells best."""
    small = _smoothed(grey)[::2, ::2]
    leads = []
    for reach in _reaches(small):
        dark, light = (np.mean(_strokes(own, reach) ** 2) for own in (255 - small, small))
        leads.append(np.log((dark + 1e-6) / (light + 1e-6)))
    return bool(max(leads, key=abs) > 0)


def _above_shadows(grey: Grey) -> Grey:
    """Return how far light ink lies above a ground in light and in shadow."""
    for reach in _reaches(grey):
        strokes = _strokes(grey, reach)
        above = strokes - _ground(strokes)
        if _thickness(above > _otsu(above)) < FINE_STROKE * (2 * reach + 1):
            break  # broader strokes would be hollow
    return above


def _reaches(grey: Grey) -> list[int]:
    """Return the widths of strokes to be tried, from the finest: to 2 reach + 1 pixels."""
    return [max(round(share / 2 * min(grey.shape)), 1) for share in STROKE_WIDTHS]


def _strokes(grey: Grey, reach: int) -> Grey:
    """Return how far light strokes stand out, those at most 2 reach + 1 pixels broad."""
    size = 2 * reach + 1
    ground = cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    for _ in range(2):  # the opening has hard edges
        ground = cv2.blur(ground, (size, size), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(grey - np.minimum(ground, grey), np.float32)


def contrast(grey: Grey) -> float:
    """Return how far the darkest and the lightest spot of 2×2 pixels lie apart."""
    return float(np.ptp(_smoothed(grey)))


def _smoothed(grey: Grey) -> Grey:
    """Return the means of 2×2 pixels: a stroke stays, a single pixel of noise doesn't."""
    across = grey[:, 1:] + grey[:, :-1] if grey.shape[1] > 1 else 2 * grey
    both = across[1:] + across[:-1] if len(across) > 1 else 2 * across
    return np.asarray(both / 4, np.float32)


def border(grey: Grey) -> Grey:
    """Return the values along the four sides."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def box(ink: Mask) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box of what is true."""
    rows, columns = np.nonzero(ink)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def find_ink(grey: Grey) -> tuple[Grey, str]:
    """Return how much ink each pixel holds, 0 to 1, and what seems wrong.

    Args:
        grey: Light ink on a dark ground, values 0 to 255, of shape H×W.
    """
    found = marks(grey)
    mask, kept = found.mask, _kept(found.parts)
    chosen = np.isin(found.parts.numbers, np.flatnonzero(kept) + 1)
    ink = ink_of(found, chosen)
    faintest = float(np.percentile(found.above[chosen], FULL_INK_PERCENTILE))
    note = ""
    if is_noise(found) or faintest < LEAST_STANDING_OUT * found.noise:
        note = "no clear character" if faintest > CLEAR else "hardly any contrast"
    elif mask.mean() > MOST_INK:
        note = "almost all ink"
    elif _is_several(found.parts) or (
        kept.sum() > 1
        and chosen[box(chosen)].shape[1] > WIDEST_OF_PARTS * chosen[box(chosen)].shape[0]
    ):
        note = SEVERAL_NOTE
    return ink, note


class Marks(NamedTuple):
    """What stands out from a picture's ground.

    Args:
        above: How far each pixel lies above the ground, float32 H×W; 0 where lines are printed.
        mask: Where something is drawn.
        parts: The mask's connected parts.
        noise: The standard deviation of the ground.
    """

    above: Grey
    mask: Mask
    parts: Parts
    noise: float


def marks(grey: Grey) -> Marks:
    """Find what stands out from the ground of a picture of light ink, without printed lines."""
    above = grey - _ground(grey)
    cut = _otsu(above)
    if _holds_patch(above > cut):  # light between shadows
        above = _above_shadows(grey)
        cut = _otsu(above)
    faint = max(LINE_FAINTER * cut, NOISE_FLOOR * _noise(above[above <= cut]))
    mask, printed = above > cut, lines(above, above > min(faint, cut))
    if printed.any():
        # Lines are softer than the mask, as ink is.
        above[widened(printed, LINE_FRINGE)] = 0
        mask = (above > _otsu(above)) & ~printed
    noise = _noise(above[~mask])
    above, mask = without_frames(above, mask)
    return Marks(above, mask, Parts.of(mask), noise)


def ink_of(found: Marks, chosen: Mask) -> Grey:
    """Return how much ink of the chosen marks each pixel holds, 0 to 1, float32 H×W."""
    low = NOISE_FLOOR * found.noise
    high = float(np.percentile(found.above[chosen], FULL_INK_PERCENTILE))
    ink = np.clip((found.above - low) / max(high - low, 1e-6), 0, 1)
    ink[ink < FAINTEST_INK] = 0
    # Ink is softer than the mask: its edge reaches a little further.
    ink[~widened(chosen, max(chosen.shape) // 100 + 1)] = 0
    return _thickened(ink.astype(np.float32), chosen)


def _thickened(ink: Grey, chosen: Mask) -> Grey:
    """Return ink whose strokes are about as thick as those that a network was trained on.

    Strokes that are thin for their character's size would turn grey where it is made smaller.
    """
    cut = chosen[box(chosen)]
    scale = MNIST_BOX / max(cut.shape)
    stroke = _thickness(cut) * scale
    reach = round((THICKNESS - stroke) / 2 / scale)
    if stroke >= THINNEST or reach < 1:
        return ink
    return np.asarray(cv2.dilate(ink, np.ones(2 * (2 * reach + 1,), np.uint8)), np.float32)


def _thickness(mask: Mask) -> float:
    """Return how thick the strokes of a mask are, in pixels: its area by half its outline."""
    edge = mask & ~narrowed(mask)
    return float(2 * mask.sum() / max(edge.sum(), 1))


def _is_several(parts: Parts) -> bool:
    """Tell whether a mask has so many parts that they must be several characters."""
    return int((parts.areas >= LEAST_PART * parts.numbers.size).sum()) >= SEVERAL


def _noise(ground: NDArray[np.floating]) -> float:
    """Return the standard deviation of what isn't ink, unmoved by a few values far away."""
    return NOISE_IN_DEVIATIONS * median(abs(ground - median(ground)))


def _kept(parts: Parts) -> Mask:
    """Tell which of a mask's parts belong to the character."""
    numbers, areas = parts.numbers, parts.areas
    edges = (numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1])
    along = [np.bincount(edge, minlength=len(areas) + 1)[1:] / len(edge) for edge in edges]
    inner = np.max(along, axis=0) < ALONG_SIDE
    kept: Mask = inner & (areas > DUST * np.where(inner, areas, 0).max())
    if not kept.any():
        kept[:] = True
    largest = int(np.where(kept, areas, 0).argmax())
    if not parts.at_edge[largest]:  # what reaches in from the edge far from it isn't of it
        reach = FARTHEST * np.max(sides(parts.extents), axis=0)[largest]
        kept &= ~parts.at_edge | (_distances(parts.extents, largest) <= reach)
    return kept


def _distances(extents: Extents, one: int) -> NDArray[np.int64]:
    """Return how far bounding boxes lie from one of them, across or down; at most 0 if at it."""
    top, bottom, left, right = extents.T
    gaps = (top - bottom[one], top[one] - bottom, left - right[one], left[one] - right)
    found: NDArray[np.int64] = np.max(gaps, axis=0)
    return found


def is_noise(found: Marks) -> bool:
    """Tell whether marks are scattered: neighbouring pixels have little in common."""
    mask = found.mask
    changes = np.mean(mask[1:] != mask[:-1]) + np.mean(mask[:, 1:] != mask[:, :-1])
    share = mask.mean()
    # A slanting line of one pixel changes as often as noise does, but has few parts.
    return bool(
        changes > NOISE_CHANGES * 4 * share * (1 - share)
        and len(found.parts.areas) + len(Parts.of(~mask).areas) > NOISE_PARTS
    )


def _ground(grey: Grey) -> Grey:
    """Return the ground's brightness as a quadratic surface, fitted to what isn't ink."""
    along = (np.linspace(-1, 1, n, dtype=np.float32) for n in grey.shape)
    y, x = np.meshgrid(*along, indexing="ij", sparse=True)
    terms = (np.ones_like(x), x, y, x * x, x * y, y * y)
    step = max(max(grey.shape) // GROUND_POINTS, 1)  # a sample is enough for six coefficients
    sample = np.broadcast_arrays(*(term[::step, ::step] for term in terms))
    points = np.stack(sample).reshape(6, -1).astype(np.float64)
    values = grey[::step, ::step].ravel()
    flat = median(grey[grey <= _otsu(grey)])
    surface = np.full_like(values, flat)
    for _ in range(GROUND_ROUNDS):
        rest = values - surface
        ground = rest <= _otsu(rest)
        if ground.sum() < GROUND_LEAST_POINTS:
            return np.full_like(grey, flat)
        # Where little is seen of it, a curved surface would rise into the ink.
        n = 6 if ground.mean() >= CURVED_GROUND else 3
        there = points[:n, ground]  # by the normal equations, whose matrix is small
        weights, *_ = np.linalg.lstsq(there @ there.T, there @ values[ground])
        surface = (weights @ points[:n]).astype(np.float32)
    products = (np.float32(weight) * term for weight, term in zip(weights, terms, strict=False))
    return np.asarray(sum(products), np.float32)


def median(values: NDArray[np.floating]) -> float:
    """Return the median, in a tenth of the time that NumPy's own takes on some processors."""
    half = len(values) // 2
    parted = np.partition(values, half)
    return float(parted[half] if len(values) % 2 else (parted[:half].max() + parted[half]) / 2)


def _otsu(values: NDArray[np.floating]) -> float:
    """Return Otsu's threshold: the cut that leaves the least variance on its two sides."""
    values = np.ascontiguousarray(values, np.float32)
    least, most = float(values.min()), float(values.max())
    if most - least < np.finfo(np.float32).tiny:  # all are alike
        return most + 0.5
    edges = np.linspace(least, most, BINS + 1)
    counts = cv2.calcHist([values], [0], None, [BINS], [least, most]).ravel()
    counts[-1] += np.count_nonzero(values == most)  # the upper end lies outside
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts, dtype=np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])
