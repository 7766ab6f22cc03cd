"""Finding the ink in a grey picture, drawn or photographed."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_lit.pictures.constants import (
    ALONG_SIDE,
    CURVED_GROUND,
    DUST,
    FAINTEST_INK,
    FULL_INK_PERCENTILE,
    GROUND_LEAST_POINTS,
    GROUND_POINTS,
    GROUND_ROUNDS,
    GROUND_SHARE,
    LEAST_CONTRAST,
    LEAST_PART,
    LINE_FAINTER,
    LINE_FRINGE,
    MNIST_BOX,
    NOISE_FLOOR,
    NOISE_IN_DEVIATIONS,
    SEVERAL,
    THICKNESS,
    THINNEST,
)
from mnist_lit.pictures.lines import lines

Grey = NDArray[np.float32]
SEVERAL_NOTE = "more than one character?"


def light_on_dark(grey: Grey) -> tuple[Grey, bool]:
    """Return the picture with its ink light, and whether it shows nothing at all."""
    if np.ptp(_smoothed(grey)) < LEAST_CONTRAST:
        return grey, True
    cut = _otsu(grey)
    share = np.mean(grey > cut)
    if not 1 - GROUND_SHARE < share < GROUND_SHARE:
        light_ground = share > 0.5
    else:  # a close crop of bold ink
        light_ground = np.mean(border(grey) > cut) > 0.5
    return (255 - grey if light_ground else grey), False


def _smoothed(grey: Grey) -> Grey:
    """Return the means of 2×2 pixels: a stroke stays, a single pixel of noise doesn't."""
    across = grey[:, 1:] + grey[:, :-1] if grey.shape[1] > 1 else 2 * grey
    both = across[1:] + across[:-1] if len(across) > 1 else 2 * across
    return np.asarray(both / 4, np.float32)


def border(grey: Grey) -> Grey:
    """Return the values along the four sides."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def box(ink: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box of what is true."""
    rows, columns = np.nonzero(ink)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def find_ink(grey: Grey) -> tuple[Grey, str]:
    """Return how much ink each pixel holds, 0 to 1, and what seems wrong.

    Args:
        grey: Light ink on a dark ground, values 0 to 255, of shape H×W.
    """
    found = marks(grey)
    mask, parts, n = found.mask, found.parts, found.n
    kept = _kept(mask, parts, n)
    chosen = np.isin(parts, np.flatnonzero(kept) + 1)
    ink = ink_of(found, chosen)
    faintest = float(np.percentile(found.above[chosen], FULL_INK_PERCENTILE))
    note = ""
    if is_noise(found) or faintest < 4 * found.noise:
        note = "no clear character" if faintest > 64 else "hardly any contrast"
    elif mask.mean() > 0.5:
        note = "almost all ink"
    elif _is_several(mask, parts, n) or (
        kept.sum() > 1 and chosen[box(chosen)].shape[1] > 1.4 * chosen[box(chosen)].shape[0]
    ):
        note = SEVERAL_NOTE
    return ink, note


class Marks(NamedTuple):
    """What stands out from a picture's ground.

    Args:
        above: How far each pixel lies above the ground, float32 H×W; 0 where lines are printed.
        mask: Where something is drawn.
        parts: The number of each pixel's connected part of the mask, from 1; 0 for the ground.
        n: How many parts there are.
        noise: The standard deviation of the ground.
    """

    above: Grey
    mask: NDArray[np.bool_]
    parts: NDArray[np.int32]
    n: int
    noise: float


def marks(grey: Grey) -> Marks:
    """Find what stands out from the ground of a picture of light ink, without printed lines."""
    above = grey - _ground(grey)
    cut = _otsu(above)
    faint = max(LINE_FAINTER * cut, NOISE_FLOOR * _noise(above[above <= cut]))
    mask, printed = above > cut, lines(above, above > min(faint, cut))
    if printed.any():
        # Lines are softer than the mask, as ink is.
        above[ndimage.binary_dilation(printed, iterations=LINE_FRINGE)] = 0
        mask = (above > _otsu(above)) & ~printed
    return Marks(above, mask, *label(mask), _noise(above[~mask]))


def label(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the number of each pixel's connected part, 0 for none, and how many there are."""
    parts, n = ndimage.label(mask, np.ones((3, 3)))
    return parts, n


def ink_of(found: Marks, chosen: NDArray[np.bool_]) -> Grey:
    """Return how much ink of the chosen marks each pixel holds, 0 to 1, float32 H×W."""
    low = NOISE_FLOOR * found.noise
    high = float(np.percentile(found.above[chosen], FULL_INK_PERCENTILE))
    ink = np.clip((found.above - low) / max(high - low, 1e-6), 0, 1)
    ink[ink < FAINTEST_INK] = 0
    # Ink is softer than the mask: its edge reaches a little further.
    ink[~ndimage.binary_dilation(chosen, iterations=max(chosen.shape) // 100 + 1)] = 0
    return _thickened(ink.astype(np.float32), chosen)


def _thickened(ink: Grey, chosen: NDArray[np.bool_]) -> Grey:
    """Return ink whose strokes are about as thick as those that a network was trained on.

    Strokes that are thin for their character's size would turn grey where it is made smaller.
    """
    rows, columns = box(chosen)
    scale = MNIST_BOX / max(rows.stop - rows.start, columns.stop - columns.start)
    edge = chosen & ~ndimage.binary_erosion(chosen)
    stroke = 2 * chosen.sum() / edge.sum() * scale
    reach = round((THICKNESS - stroke) / 2 / scale)
    if stroke >= THINNEST or reach < 1:
        return ink
    return np.asarray(ndimage.maximum_filter(ink, 2 * reach + 1, mode="constant"), np.float32)


def _is_several(mask: NDArray[np.bool_], parts: NDArray[np.int32], n: int) -> bool:
    """Tell whether a mask has so many parts that they must be several characters."""
    sizes = ndimage.sum_labels(mask, parts, range(1, n + 1))
    return int((sizes >= LEAST_PART * mask.size).sum()) >= SEVERAL


def _noise(ground: NDArray[np.floating]) -> float:
    """Return the standard deviation of what isn't ink, unmoved by a few values far away."""
    return NOISE_IN_DEVIATIONS * float(np.median(abs(ground - np.median(ground))))


def _kept(mask: NDArray[np.bool_], parts: NDArray[np.int32], n: int) -> NDArray[np.bool_]:
    """Tell which of the mask's n connected parts belong to the character."""
    sizes = ndimage.sum_labels(mask, parts, range(1, n + 1))
    sides = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    along = [np.bincount(side, minlength=n + 1)[1:] / len(side) for side in sides]
    inner = np.max(along, axis=0) < ALONG_SIDE
    kept: NDArray[np.bool_] = inner & (sizes > DUST * np.where(inner, sizes, 0).max())
    if not kept.any():
        kept[:] = True
    return kept


def is_noise(found: Marks) -> bool:
    """Tell whether marks are scattered: neighbouring pixels have little in common."""
    mask = found.mask
    changes = np.mean(mask[1:] != mask[:-1]) + np.mean(mask[:, 1:] != mask[:, :-1])
    share = mask.mean()
    # A slanting line of one pixel changes as often as noise does, but has few parts.
    return bool(changes > 0.7 * 4 * share * (1 - share) and found.n + label(~mask)[1] > 10)


def _ground(grey: Grey) -> Grey:
    """Return the ground's brightness as a quadratic surface, fitted to what isn't ink."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in grey.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(max(grey.shape) // GROUND_POINTS, 1)  # a sample is enough for six coefficients
    points, values = terms[::step, ::step].reshape(-1, 6), grey[::step, ::step].ravel()
    flat = float(np.median(grey[grey <= _otsu(grey)]))
    surface = np.full_like(values, flat)
    for _ in range(GROUND_ROUNDS):
        rest = values - surface
        ground = rest <= _otsu(rest)
        if ground.sum() < GROUND_LEAST_POINTS:
            return np.full_like(grey, flat)
        # Where little is seen of it, a curved surface would rise into the ink.
        n = 6 if ground.mean() >= CURVED_GROUND else 3
        weights, *_ = np.linalg.lstsq(points[ground, :n], values[ground])
        surface = points[:, :n] @ weights
    return np.asarray(terms[..., : len(weights)] @ weights, np.float32)


def _otsu(values: NDArray[np.floating]) -> float:
    """Return Otsu's threshold: the cut that leaves the least variance on its two sides."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    if np.isnan(between).all():  # all values are alike
        return float(edges[-1])
    return float(edges[1:][np.nanargmax(between)])
