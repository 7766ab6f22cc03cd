"""Picture files, in colour or grey, as grey values."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mnist_lit.errors import InputError
from mnist_lit.pictures.constants import CLEARER_COLOUR, WORKING_SIDE
from mnist_lit.pictures.ink import contrast

# By name, so that no other of Pillow's decoders ever sees an untrusted file.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF")
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm",
    ".avif", ".heic", ".heif",
}  # fmt: skip
KINDS = "PNG, JPEG, BMP, WebP, TIFF, GIF, PGM, PPM, AVIF or HEIC"  # what errors call them
MAX_PIXELS = 64_000_000

Grey = NDArray[np.float32]


def decode(path: Path, longest: int = WORKING_SIDE) -> tuple[Grey, tuple[int, int]]:
    """Return a picture as grey values 0 to 255, and the width and height of the file's own.

    The grey values are float32 H×W, of at most `longest` pixels a side. Of a moving picture they
    are the first frame's.

    Raises:
        InputError: The file isn't a picture of a known format, is damaged or too large.
    """
    if not path.is_file():
        what = "is a folder without pictures" if path.is_dir() else "is not there"
        raise InputError(path, what, "give the path of a picture")
    limit = f"has more than {MAX_PIXELS // 10**6} million pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about oddities in the file
            with Image.open(path, formats=_formats(path)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(path, limit, "make it smaller")
                upright = ImageOps.exif_transpose(image)
                return grey_of(upright, longest), upright.size
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(path, limit, "make it smaller") from error
    except Exception as error:  # a malformed file can make the decoder raise anything
        raise InputError(path, f"is not a whole {KINDS} picture", "save it again as one") from error


def _formats(path: Path) -> tuple[str, ...]:
    if path.suffix.lower() not in (".heic", ".heif"):
        return FORMATS
    try:
        from pillow_heif import register_heif_opener  # an extra
    except ImportError as error:
        remedy = 'python -m pip install "mnist-lit[heic]"'
        raise InputError(path, "needs the extra package pillow-heif", remedy) from error
    register_heif_opener()
    return (*FORMATS, "HEIF")


def grey_of(image: Image.Image, longest: int = WORKING_SIDE) -> Grey:
    """Return a picture, the right way up, as `decode` returns a file's grey values."""
    return np.asarray(_reduced(_grey(image), longest), np.float32)


def _reduced(grey: Image.Image, longest: int) -> Image.Image:
    size = _within(grey.size, longest)
    return grey if size == grey.size else grey.resize(size, Image.Resampling.BOX)


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return a size of the same proportions, of at most `longest` pixels a side."""
    scale = min(longest / max(size), 1)
    width, height = (max(round(n * scale), 1) for n in size)
    return width, height


def _grey(image: Image.Image) -> Image.Image:
    """Return the picture in floating-point grey values 0 to 255."""
    if image.mode.startswith(("I", "F")):
        return _grey_of_numbers(image)
    if image.has_transparency_data:
        return _grey_of_transparent(image)
    if image.mode == "L":
        return image.convert("F")
    return _clearest(image.convert("RGB")).convert("F")


def _clearest(image: Image.Image) -> Image.Image:
    """Return the picture's grey, or red, green or blue where ink and paper are of equal grey."""
    sample = image.resize(_within(image.size, WORKING_SIDE), Image.Resampling.NEAREST)
    grey = contrast(np.asarray(sample.convert("L"), np.float32))
    channels = [contrast(np.asarray(own, np.float32)) for own in sample.split()]
    clearest = int(np.argmax(channels))
    if channels[clearest] > CLEARER_COLOUR * grey:
        return image.getchannel(clearest)
    return image.convert("L")


def _grey_of_numbers(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float32)
    deep = image.mode.startswith("I;16")
    low, high = (0, 65535) if deep else (np.nanmin(values), np.nanmax(values))
    return Image.fromarray(np.nan_to_num((values - low) * (255 / max(high - low, 1e-9))))


def _grey_of_transparent(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    grey, alpha = np.asarray(rgba.convert("L"), np.float32), np.asarray(rgba)[..., 3] / 255
    seen = grey[alpha > 0.5]
    # Light ink was drawn to be seen on black, any other on white.
    ground = 0 if seen.size and np.percentile(seen, 5) > 127 else 255
    return Image.fromarray((grey * alpha + ground * (1 - alpha)).astype(np.float32))
