"""From a user's picture to the square image that a network was trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_lit.pictures import constants
from mnist_lit.pictures.constants import (
    CAMERA_LONGER,
    CAMERA_SHORTER,
    EMNIST_BOX,
    EMNIST_ENLARGEMENT,
    EMNIST_REACH,
    EMNIST_SIGMA,
    EMNIST_TRACE,
    MNIST_BOX,
    MNIST_OFF_CENTRE,
    PUBLISHED_SIDE,
    SHEET_SIDE,
)
from mnist_lit.pictures.decoding import decode
from mnist_lit.pictures.ink import border, box, find_ink, light_on_dark
from mnist_lit.pictures.splitting import Box, find_characters

# `prepare` says what each does.
PREPROCESSING = ("mnist", "emnist", "plain")
# As plain data, for the page: `working_side`, `mnist_box` and so on.
CONSTANTS: dict[str, Any] = {
    name.lower(): value for name, value in vars(constants).items() if name.isupper()
}

Grey = NDArray[np.float32]


class Picture(NamedTuple):
    """What a network is shown.

    Args:
        image: uint8 side×side, light on dark.
        note: What seems wrong with it.
        box: Its place in the picture file, where that was split.
        may_lie: Whether it may lie on its side.
    """

    image: NDArray[np.uint8]
    note: str
    box: Box | None = None
    may_lie: bool = False


def read(path: str | Path, preprocessing: str = "mnist", side: int = PUBLISHED_SIDE) -> Picture:
    """Read a picture file, in colour or grey, and prepare it.

    Raises:
        InputError: The file isn't a picture of a known format, is damaged or too large.
        KeyError: There is no such preprocessing.
    """
    grey, size = decode(Path(path))
    of_ink = preprocessing in OF_INK
    return prepare(grey, preprocessing, side)._replace(may_lie=of_ink and may_lie(size))


def may_lie(size: tuple[int, int]) -> bool:
    """Tell whether a picture of a width and height may lie on its side.

    A camera's picture may: many a file has lost the note of how the camera was held. A smaller one
    is a crop, made by someone who saw it.
    """
    return min(size) >= CAMERA_SHORTER and max(size) >= CAMERA_LONGER


def prepare(grey: Grey, preprocessing: str = "mnist", side: int = PUBLISHED_SIDE) -> Picture:
    """Turn grey values 0 to 255, of shape H×W, into what a network is shown.

    `mnist` and `emnist` are for ink, dark on light or light on dark, on a ground that may be
    unevenly lit. `mnist` scales the ink's bounding box to 20/28 of the side on its longer side and
    places it with its centre of mass in the middle; `emnist` scales it to 24/28 and places the box
    in the middle. A picture of the right size that follows the preprocessing already stays as it
    is.

    `plain` is for everything else. It takes a picture of the right size exactly as it is. Any other
    is turned light on dark, scaled to the side on its longer side, and placed in the middle of its
    own ground.

    Args:
        grey: The picture.
        preprocessing: One of PREPROCESSING.
        side: Of the image, 8 to 256 pixels.

    Raises:
        KeyError: There is no such preprocessing.
    """
    light, blank = light_on_dark(grey, strokes=preprocessing != "plain")
    if preprocessing == "plain":
        # Data of the right size have no ground to be made dark.
        image = _plain(grey if grey.shape == (side, side) else light, side)
        return Picture(image, "blank: nothing to be seen" if blank else "")
    followed, fit = OF_INK[preprocessing]
    if blank:
        return Picture(np.zeros((side, side), np.uint8), "blank: no ink found")
    if light.shape == (side, side) and followed(light):
        return Picture(light.round().astype(np.uint8), "")
    ink, note = find_ink(light)
    return Picture(fit(ink, side) if ink.any() else np.zeros((side, side), np.uint8), note)


def read_split(path: str | Path, preprocessing: str, side: int) -> list[Picture]:
    """Read a picture file as `read` does, and prepare each of its characters as `split` does.

    Each has its box in the file's own pixels. One alone may lie on its side.
    """
    grey, (width, height) = decode(Path(path), SHEET_SIDE)
    scales = 2 * (width / grey.shape[1], height / grey.shape[0])
    pictures = split(grey, preprocessing, side)
    lies = len(pictures) == 1 and may_lie((width, height))
    found = []
    for picture in pictures:
        assert picture.box
        own = Box(*(round(n * scale) for n, scale in zip(picture.box, scales, strict=True)))
        found.append(picture._replace(box=own, may_lie=lies))
    return found


def split(grey: Grey, preprocessing: str = "mnist", side: int = PUBLISHED_SIDE) -> list[Picture]:
    """Prepare each of the separate characters in a picture, in reading order.

    Takes what `prepare` takes, of a preprocessing of ink. A picture of one character is prepared
    by `prepare`, and one of none is a single blank.

    Raises:
        KeyError: The preprocessing is not one of ink.
    """
    _, fit = OF_INK[preprocessing]
    light, blank = light_on_dark(grey)
    found = [] if blank else find_characters(light)
    if len(found) < 2:
        place = found[0].box if found else Box(0, 0, grey.shape[1], grey.shape[0])
        return [prepare(grey, preprocessing, side)._replace(box=place)]
    return [Picture(fit(own.ink, side), own.note, own.box) for own in found]


def _for(side: int, length: float) -> float:
    """Return a length in an image of 28×28 pixels as one in an image of another side."""
    return length * side / PUBLISHED_SIDE


def _tolerance(side: int, length: float) -> float:
    """Return how far off a place may be; rounding and filters reach as far in a small image."""
    return max(_for(side, length), length)


def _follows_mnist(grey: Grey) -> bool:
    """Tell whether a square image's box is small enough and its mass in the middle."""
    side = len(grey)
    rows, columns = box(grey > 0)
    centre = _centre_of_mass(grey) + 0.5
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    in_middle = abs(centre - side / 2) < _tolerance(side, MNIST_OFF_CENTRE)
    return longer <= round(_for(side, MNIST_BOX)) and bool(np.all(in_middle))


def _follows_emnist(grey: Grey) -> bool:
    """Tell whether a square image's box is of the right size and in the middle."""
    side = len(grey)
    trace = _tolerance(side, EMNIST_TRACE)
    extents = box(grey > 0)
    longer = max(extent.stop - extent.start for extent in extents)
    return abs(longer - round(_for(side, EMNIST_BOX))) <= trace and all(
        abs(extent.start + extent.stop - side) <= trace for extent in extents
    )


def _fit_mnist(ink: Grey, side: int) -> NDArray[np.uint8]:
    """Fit ink, 0 to 1, into an image as MNIST does: its centre of mass in the middle.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    small = _scaled(ink, round(_for(side, MNIST_BOX)))
    # Where the mass lies at one end of the box, the box still stays inside.
    top, left = (
        min(max(round((side - 1) / 2 - c), 0), side - n)
        for c, n in zip(_centre_of_mass(small), small.shape, strict=True)
    )
    image = np.zeros((side, side), np.float32)
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return _brightened(image)


def _fit_emnist(ink: Grey, side: int) -> NDArray[np.uint8]:
    """Fit ink, 0 to 1, into an image as EMNIST does: its bounding box in the middle.

    A Gaussian filter of sigma 1 softens the edges, the bounding box is put into the middle of a
    square with a border, the square is made smaller with a bicubic filter and its brightest value
    becomes 255. The paper doesn't say at which size the border of 2 pixels is; here it is in the
    28×28 image, since EMNIST's images have it there. Their half-bright edges lie about 23 pixels
    apart, as they do if the character takes 80 of the 128 pixels at which it is softened.

    Source: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten
    letters, arXiv:1702.05373, section II.
    """
    square = round(EMNIST_ENLARGEMENT * side)
    # At 28×28 a character of 80 pixels, with the filter's reach 84, in a square of 98.
    character = round(_for(square, EMNIST_BOX)) - 2 * EMNIST_REACH
    padded = np.pad(_scaled(ink, character), EMNIST_REACH)
    size = 2 * (2 * EMNIST_REACH + 1,)
    soft = cv2.GaussianBlur(padded, size, EMNIST_SIGMA, borderType=cv2.BORDER_CONSTANT)
    image = Image.fromarray(_middle(np.asarray(soft, np.float32), square, 0))
    small = image.resize((side, side), Image.Resampling.BICUBIC)
    return _brightened(np.asarray(small, np.float32).clip(0))


def _centre_of_mass(grey: Grey) -> NDArray[np.float64]:
    """Return the row and the column, counted from the middle of the first pixel."""
    rows, columns = (grey.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
    both = [rows @ np.arange(len(rows)), columns @ np.arange(len(columns))]
    return np.asarray(both / rows.sum())


def _scaled(ink: Grey, longer: int) -> Grey:
    """Return the ink's bounding box, scaled to `longer` pixels on its longer side."""
    cut = Image.fromarray(np.ascontiguousarray(ink[box(ink > 0)]))
    scale = longer / max(cut.size)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    return np.asarray(cut.resize(size, Image.Resampling.BILINEAR), np.float32)


def _brightened(image: Grey) -> NDArray[np.uint8]:
    """Return the image in values 0 to 255, all of them used."""
    scaled: NDArray[np.uint8] = (image * (255 / image.max())).round().astype(np.uint8)
    return scaled


def _middle(part: Grey, side: int, ground: float) -> Grey:
    """Return a square of the ground with a smaller picture in its middle."""
    top, left = ((side - n) // 2 for n in part.shape)
    square = np.full((side, side), ground, np.float32)
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def _plain(grey: Grey, side: int) -> NDArray[np.uint8]:
    """Scale a picture to the side on its longer side and fill the rest with its border's median."""
    height, width = (max(round(n * side / max(grey.shape)), 1) for n in grey.shape)
    small = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    image = _middle(np.asarray(small, np.float32), side, float(np.median(border(grey))))
    return image.round().clip(0, 255).astype(np.uint8)


# How to tell that a square image follows a preprocessing of ink, and how to fit ink into one.
OF_INK: dict[str, tuple[Callable[[Grey], bool], Callable[[Grey, int], NDArray[np.uint8]]]] = {
    "mnist": (_follows_mnist, _fit_mnist),
    "emnist": (_follows_emnist, _fit_emnist),
}
