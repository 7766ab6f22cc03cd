"""A file of images and labels, an array file or a table, as a data set."""

import unicodedata
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_lit.data.cache import Cache, Images
from mnist_lit.data.conversion import convert
from mnist_lit.data.own import Own
from mnist_lit.data.values import Wrong, as_numbers, check_labels, classes
from mnist_lit.errors import Argument, InputError
from mnist_lit.files import TABLE_SUFFIXES, sha256, sha256_of_text
from mnist_lit.pictures.constants import LARGEST_SIDE, SMALLEST_SIDE


class Part(NamedTuple):
    """A part of a data set as it was found.

    Args:
        images: N×H×W.
        white: The number that stood for white, 1 or 255; 0 where all is black.
        labels: N numbers or words.
        what: What errors call the labels.
    """

    images: NDArray[np.uint8]
    white: int
    labels: NDArray[Any]
    what: str


class Options(NamedTuple):
    """How the numbers in a file are to be read.

    Args:
        value_range: The numbers that stand for black and white.
        transposed: Whether rows of the file's images are columns; None where the name decides.
    """

    value_range: Sequence[float] | None = None
    transposed: bool | None = None


class File(Own):
    """Images of one size and labels that a file holds; a subclass for each format reads it.

    Where there are test images, the last share of the training images validates. Otherwise a fifth
    of each class is set apart for test, the same one in every run.

    Args:
        path: The file.
        preprocessing: How a picture becomes such an image.
        image_size: Side of the images; those of another size are scaled by the preprocessing.
            Default: that of the images in the file, which are taken as they are.
        options: How numbers are read.

    Raises:
        InputError: The file is damaged or holds anything else.
    """

    in_order = True

    def __init__(
        self,
        path: Path,
        preprocessing: str = "plain",
        *,
        image_size: int | None = None,
        options: Options = Options(),  # noqa: B008 a value that cannot change
    ) -> None:
        super().__init__(path, name_of(path), preprocessing)
        self.options = options
        self.files = self._files()
        found, names = self._parse()
        sums = [sha256(file) for file in self.files]
        self.fingerprint = sums[0] if len(sums) == 1 else sha256_of_text(" ".join(sums))
        if len({part.white for part in found.values()} - {0}) > 1:
            whites = [f"{name} from 0 to {part.white}" for name, part in found.items()]
            raise InputError(path, f"has images for {', '.join(whites)}", "give all on one scale")
        labels = self._labels(found)
        try:
            self.labels, self.class_names = classes(labels, names)
        except Wrong as wrong:
            raise InputError(path, f"has {wrong.problem}", wrong.remedy) from wrong
        self.image_size = image_size or self._own_size(found)
        self._found = {name: part.images for name, part in found.items()}
        self.parts = np.repeat(list(found), [len(part.labels) for part in found.values()])
        self._check_names()

    def item(self, index: int) -> str:
        part = str(self.parts[index])
        return f"{part} image {index - int(np.flatnonzero(self.parts == part)[0])}"

    def _files(self) -> list[Path]:
        """Return the files that the data set consists of."""
        return [self.path]

    @abstractmethod
    def _parse(self) -> tuple[Mapping[str, Part], Sequence[str] | None]:
        """Return what the files hold by part, `train` first, and the classes' names if known.

        Raises:
            InputError: They hold anything else.
        """

    def _labels(self, found: Mapping[str, Part]) -> NDArray[Any]:
        """Return the labels of all parts: numbers, or text where one part has text."""
        each = [as_numbers(part.labels) for part in found.values()]
        if any(labels.dtype.kind in "US" for labels in each):
            return np.concatenate([part.labels for part in found.values()])
        for part, labels in zip(found.values(), each, strict=True):
            try:
                check_labels(labels)
            except Wrong as wrong:
                problem = f"has {part.what}, {wrong.problem}"
                raise InputError(self.path, problem, wrong.remedy) from wrong
        return np.concatenate(each)

    def _convert(self) -> Images:
        side = self.image_size
        if any(images.shape[1:] != (side, side) for images in self._found.values()):
            cache = Cache(self.path, self.name, self.preprocessing, side, *self.options)
            images = cache.arrays(self.files, lambda: {"images": self._scaled()})["images"]
        else:
            images = self._joined()
        return Images(images, [""] * len(images))

    def _joined(self) -> NDArray[np.uint8]:
        """Return the images as one array, which from now on the parts are views of."""
        if len(self._found) == 1:
            return next(iter(self._found.values()))
        joined = np.concatenate(list(self._found.values()))
        ends = np.cumsum([len(images) for images in self._found.values()])
        self._found = dict(zip(self._found, np.split(joined, ends[:-1]), strict=True))
        return joined

    def _scaled(self) -> NDArray[np.uint8]:
        scaled = [
            image
            for part, images in self._found.items()
            for image in convert(
                images, self.preprocessing, self.image_size, f"{self.name} ({part})"
            )
        ]
        return np.stack(scaled)  # type: ignore[arg-type]

    def _own_size(self, found: Mapping[str, Part]) -> int:
        sizes = {part.images.shape[1:] for part in found.values()}
        height, width = min(sizes)
        if len(sizes) > 1 or height != width or not SMALLEST_SIDE <= width <= LARGEST_SIDE:
            said = " and ".join(f"{height}×{width}" for height, width in sorted(sizes))
            raise InputError(
                self.path,
                f"has images of {said}, not square ones of one size from {SMALLEST_SIDE} to "
                f"{LARGEST_SIDE}",
                ("scale them into a square by", Argument("image_size")),
            )
        return int(width)


def name_of(path: Path) -> str:
    """Return what a data set in a file or folder is called, without the file's suffix."""
    name = path.name
    for suffix in TABLE_SUFFIXES:
        name = name[: -len(suffix)] if name.casefold().endswith(suffix) else name
    return unicodedata.normalize("NFC", name)
