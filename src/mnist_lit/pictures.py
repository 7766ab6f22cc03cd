"""A user's picture, drawn or photographed, to the 28×28 image that a network knows from MNIST."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from mnist_lit.errors import InputError

# By name, so that no other of Pillow's decoders ever sees a stranger's file.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
MAX_PIXELS = 64_000_000
# Ink is looked for in a copy of at most this many pixels a side.
SIDE = 512

Grey = NDArray[np.float32]


class Picture(NamedTuple):
    """What a network is shown, uint8 of shape 28×28, white ink on black, and what seems wrong."""

    image: NDArray[np.uint8]
    note: str


def read(path: str | Path) -> Picture:
    """Read a picture file and prepare it as MNIST's makers did.

    Ink may be dark on light or light on dark, the light uneven. The ink's bounding box is scaled to
    20 pixels on its longer side and placed with its centre of mass in the middle of 28×28. A
    picture that is so already stays as it is.

    Raises:
        InputError: The file is no picture of a known format, is damaged or too large.
    """
    return prepare(_decode(Path(path)))


def _decode(path: Path) -> Grey:
    """Return the picture as grey values 0 to 255, of at most SIDE pixels a side."""
    if not path.is_file():
        what = "is a folder without pictures" if path.is_dir() else "is not there"
        raise InputError(f"{path} {what}: give the path of a picture")
    too_large = f"{path} has more than {MAX_PIXELS // 10**6} million pixels: make it smaller"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in the file
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(too_large)
                grey = _grey(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(too_large) from error
    except Exception as error:  # what a broken file makes a decoder raise is not limited
        raise InputError(
            f"{path} is not a whole PNG, JPEG, BMP, WebP or TIFF picture: save it again as one"
        ) from error
    if max(grey.size) > SIDE:
        width, height = (max(round(n * SIDE / max(grey.size)), 1) for n in grey.size)
        grey = grey.resize((width, height), Image.Resampling.BOX)
    return np.asarray(grey, np.float32)


def _grey(image: Image.Image) -> Image.Image:
    """Return the picture in floating-point grey values 0 to 255."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float32)
        deep = image.mode.startswith("I;16")
        low, high = (0, 65535) if deep else (np.nanmin(values), np.nanmax(values))
        return Image.fromarray(np.nan_to_num((values - low) * (255 / max(high - low, 1e-9))))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        grey, alpha = np.asarray(rgba.convert("L"), np.float32), np.asarray(rgba)[..., 3] / 255
        seen = grey[alpha > 0.5]
        # Ink on nothing lies on what it can be seen on.
        ground = 0 if seen.size and np.percentile(seen, 5) > 127 else 255
        return Image.fromarray((grey * alpha + ground * (1 - alpha)).astype(np.float32))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("L").convert("F")


def prepare(grey: Grey) -> Picture:
    """Turn grey values 0 to 255, of shape H×W, into what a network is shown."""
    grey, blank = _light_on_dark(grey)
    if blank:
        return Picture(np.zeros((28, 28), np.uint8), "blank: no ink found")
    if _is_mnist_like(grey):
        return Picture(grey.round().astype(np.uint8), "")
    ink, note = find_ink(grey)
    return Picture(fit(ink), note)


def _light_on_dark(grey: Grey) -> tuple[Grey, bool]:
    """Return the picture with its ink light, and whether it shows nothing at all."""
    low, high = np.percentile(grey, [0.1, 99.9])
    if high - low < 20:
        return grey, True
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    light_ground = np.mean(border > _otsu(grey)) > 0.5
    return (255 - grey if light_ground else grey), False


def _otsu(values: NDArray[np.floating]) -> float:
    """Return Otsu's threshold: the cut that leaves the least variance on its two sides."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])


def _box(ink: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.nonzero(ink)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def _is_mnist_like(grey: Grey) -> bool:
    """Tell whether MNIST's recipe has been followed: 28×28, a box of 20, its mass in the middle."""
    if grey.shape != (28, 28):
        return False
    rows, columns = _box(grey > 0)
    centre = np.array(ndimage.center_of_mass(grey)) + 0.5
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    return longer <= 20 and bool(np.all(abs(centre - 14) < 1.5))


def find_ink(grey: Grey) -> tuple[Grey, str]:
    """Return how much ink each pixel holds, 0 to 1, and what seems wrong.

    Args:
        grey: Light ink on a dark ground, in any units.
    """
    above = grey - _ground(grey)
    cut = _otsu(above)
    mask = above > cut
    share = float(mask.mean())
    noise = 1.4826 * float(np.median(abs(above[~mask] - np.median(above[~mask]))))
    parts, n = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, parts, range(1, n + 1))
    # A table's edge or a shadow lies along a side; dust is small.
    sides = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    along = [np.bincount(side, minlength=n + 1)[1:] / len(side) for side in sides]
    inner = np.max(along, axis=0) < 0.6
    kept = inner & (sizes > 0.05 * np.where(inner, sizes, 0).max())
    if not kept.any():
        kept[:] = True
    chosen = np.isin(parts, np.flatnonzero(kept) + 1)
    low, high = 3 * noise, float(np.percentile(above[chosen], 95))
    ink = np.clip((above - low) / max(high - low, 1e-6), 0, 1)
    ink[ink < 0.08] = 0
    if not kept.all():
        ink[~ndimage.binary_dilation(chosen, iterations=max(grey.shape) // 100 + 1)] = 0
    note = ""
    if share > 0.5:
        note = "almost all ink"
    elif high < 4 * noise:
        note = "hardly any contrast"
    elif kept.sum() > 1 and chosen[_box(chosen)].shape[1] > 1.4 * chosen[_box(chosen)].shape[0]:
        note = "more than one character?"
    return ink.astype(np.float32), note


def _ground(grey: Grey) -> Grey:
    """Return the ground's brightness as a quadratic surface, fitted to what is not ink."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in grey.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(max(grey.shape) // 64, 1)  # a sample is enough for six coefficients
    points, values = terms[::step, ::step].reshape(-1, 6), grey[::step, ::step].ravel()
    flat = float(np.median(grey[grey <= _otsu(grey)]))
    surface = np.full_like(values, flat)
    for _ in range(5):
        rest = values - surface
        ground = rest <= _otsu(rest)
        if ground.sum() < 32:
            return np.full_like(grey, flat)
        weights, *_ = np.linalg.lstsq(points[ground], values[ground])
        surface = points @ weights
    return np.asarray(terms @ weights, np.float32)


def fit(ink: Grey) -> NDArray[np.uint8]:
    """Fit ink, 0 to 1, into 28×28 by MNIST's recipe: a box of 20, the centre of mass in the middle.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    if not ink.any():
        return np.zeros((28, 28), np.uint8)
    cut = Image.fromarray(np.ascontiguousarray(ink[_box(ink > 0)]))
    scale = 20 / max(cut.size)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    small = np.asarray(cut.resize(size, Image.Resampling.BILINEAR), np.float32)
    centre = ndimage.center_of_mass(small)
    image = np.zeros((28, 28), np.float32)
    # The box is 20 at most, so it stays inside wherever its mass lies.
    top, left = (
        min(max(round(13.5 - c), 0), 28 - n) for c, n in zip(centre, small.shape, strict=True)
    )
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    scaled: NDArray[np.uint8] = (image * (255 / image.max())).round().astype(np.uint8)
    return scaled
