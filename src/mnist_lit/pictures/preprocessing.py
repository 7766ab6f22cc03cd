"""A user's picture, drawn or photographed, to the 28×28 image that a network was trained on."""

import warnings
from collections.abc import Callable
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
# The recipes by which a picture becomes 28×28; `prepare` says what each does.
PREPROCESSING = ("mnist", "emnist", "plain")
# Ink is looked for in a copy of at most this many pixels a side.
SIDE = 512

Grey = NDArray[np.float32]


class Picture(NamedTuple):
    """What a network is shown, uint8 of shape 28×28, light on dark, and what seems wrong."""

    image: NDArray[np.uint8]
    note: str


def read(path: str | Path, preprocessing: str = "mnist") -> Picture:
    """Read a picture file, in colour or grey, and prepare it by a recipe of PREPROCESSING.

    Raises:
        InputError: The file is no picture of a known format, is damaged or too large.
        KeyError: There is no such recipe.
    """
    return prepare(_decode(Path(path)), preprocessing)


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


def prepare(grey: Grey, preprocessing: str = "mnist") -> Picture:
    """Turn grey values 0 to 255, of shape H×W, into what a network is shown.

    `mnist` and `emnist` are for ink, dark on light or light on dark, the light uneven. `mnist`
    scales the ink's bounding box to 20 pixels on its longer side and places it with its centre of
    mass in the middle; `emnist` scales it to 24 pixels and places the box in the middle. A 28×28
    picture that is so already stays as it is.

    `plain` is for all else. It takes a 28×28 picture exactly as it is. Another one is turned light
    on dark, scaled to 28 pixels on its longer side, and lies in the middle of its own ground.

    Raises:
        KeyError: There is no such recipe.
    """
    light, blank = _light_on_dark(grey)
    if preprocessing == "plain":
        # Data of this size have no ground to be made dark.
        image = _plain(grey if grey.shape == (28, 28) else light)
        return Picture(image, "blank: nothing to be seen" if blank else "")
    followed, recipe = RECIPES[preprocessing]
    if blank:
        return Picture(np.zeros((28, 28), np.uint8), "blank: no ink found")
    if followed(light):
        return Picture(light.round().astype(np.uint8), "")
    ink, note = find_ink(light)
    return Picture(recipe(ink), note)


def _light_on_dark(grey: Grey) -> tuple[Grey, bool]:
    """Return the picture with its ink light, and whether it shows nothing at all."""
    low, high = np.percentile(grey, [0.1, 99.9])
    if high - low < 20:
        return grey, True
    light_ground = np.mean(_border(grey) > _otsu(grey)) > 0.5
    return (255 - grey if light_ground else grey), False


def _border(grey: Grey) -> Grey:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


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


def _is_emnist_like(grey: Grey) -> bool:
    """Tell whether EMNIST's recipe has been followed: 28×28, a box of about 24 in the middle.

    EMNIST's own images have boxes of 24 to 26, as the bicubic filter leaves a trace on either side.
    """
    if grey.shape != (28, 28):
        return False
    box = _box(grey > 0)
    longer = max(side.stop - side.start for side in box)
    return 22 <= longer <= 26 and all(abs(side.start + side.stop - 28) <= 2 for side in box)


def find_ink(grey: Grey) -> tuple[Grey, str]:
    """Return how much ink each pixel holds, 0 to 1, and what seems wrong.

    Args:
        grey: Light ink on a dark ground, values 0 to 255, of shape H×W.
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
    if _scattered(mask, n) or high < 4 * noise:
        note = "no clear character" if high > 64 else "hardly any contrast"
    elif share > 0.5:
        note = "almost all ink"
    elif kept.sum() > 1 and chosen[_box(chosen)].shape[1] > 1.4 * chosen[_box(chosen)].shape[0]:
        note = "more than one character?"
    return ink.astype(np.float32), note


def _scattered(mask: NDArray[np.bool_], parts: int) -> bool:
    """Tell whether a mask of so many parts is noise: a pixel says little of the one beside it."""
    changes = np.mean(mask[1:] != mask[:-1]) + np.mean(mask[:, 1:] != mask[:, :-1])
    share = mask.mean()
    # A slanting line of one pixel changes as often as noise does, but is of few parts.
    return bool(changes > 0.7 * 4 * share * (1 - share) and parts + ndimage.label(~mask)[1] > 10)


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


def _scaled(ink: Grey, side: int) -> Grey:
    """Return the ink's bounding box, scaled to `side` pixels on its longer side."""
    cut = Image.fromarray(np.ascontiguousarray(ink[_box(ink > 0)]))
    scale = side / max(cut.size)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    return np.asarray(cut.resize(size, Image.Resampling.BILINEAR), np.float32)


def _brightened(image: Grey) -> NDArray[np.uint8]:
    """Return the image in values 0 to 255, all of them used."""
    scaled: NDArray[np.uint8] = (image * (255 / image.max())).round().astype(np.uint8)
    return scaled


def fit(ink: Grey) -> NDArray[np.uint8]:
    """Fit ink, 0 to 1, into 28×28 by MNIST's recipe: a box of 20, the centre of mass in the middle.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    if not ink.any():
        return np.zeros((28, 28), np.uint8)
    small = _scaled(ink, 20)
    centre = ndimage.center_of_mass(small)
    image = np.zeros((28, 28), np.float32)
    # The box is 20 at most, so it stays inside wherever its mass lies.
    top, left = (
        min(max(round(13.5 - c), 0), 28 - n) for c, n in zip(centre, small.shape, strict=True)
    )
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return _brightened(image)


def fit_emnist(ink: Grey) -> NDArray[np.uint8]:
    """Fit ink, 0 to 1, into 28×28 by EMNIST's recipe: a box of 24, centred, a border of 2 around.

    A Gaussian filter of sigma 1 softens the edges, the bounding box is put into the middle of a
    square with a border, the square is made smaller with a bicubic filter and its brightest value
    becomes 255. The paper leaves open at which size the border of 2 pixels is; here it is in the
    28×28 image, since EMNIST's images have it there. Their half-bright edges lie about 23 pixels
    apart, as they do if the character takes 80 of the 128 pixels at which it is softened.

    Source: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten
    letters, arXiv:1702.05373, section II.
    """
    if not ink.any():
        return np.zeros((28, 28), np.uint8)
    # The filter reaches 2 pixels: a box of 84 in a square of 98 is one of 24 in 28.
    soft = ndimage.gaussian_filter(np.pad(_scaled(ink, 80), 2), 1, truncate=2, mode="constant")
    image = Image.fromarray(_middle(soft, 98, 0)).resize((28, 28), Image.Resampling.BICUBIC)
    return _brightened(np.asarray(image, np.float32).clip(0))


def _middle(part: Grey, side: int, ground: float) -> Grey:
    """Return a square of the ground with a smaller picture in its middle."""
    top, left = ((side - n) // 2 for n in part.shape)
    square = np.full((side, side), ground, np.float32)
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def _plain(grey: Grey) -> NDArray[np.uint8]:
    """Scale a picture to 28 pixels on its longer side, the rest filled with its border's median."""
    height, width = (max(round(n * 28 / max(grey.shape)), 1) for n in grey.shape)
    small = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    image = _middle(np.asarray(small, np.float32), 28, float(np.median(_border(grey))))
    return image.round().clip(0, 255).astype(np.uint8)


# How to tell that a picture follows a recipe already, and how to make it do so.
RECIPES: dict[str, tuple[Callable[[Grey], bool], Callable[[Grey], NDArray[np.uint8]]]] = {
    "mnist": (_is_mnist_like, fit),
    "emnist": (_is_emnist_like, fit_emnist),
}
