"""A `.npz` file in the layout of Keras's own data sets."""

import logging
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_lit import class_names
from mnist_lit.data.conversion import convert
from mnist_lit.data.splits import Splits, findings, last
from mnist_lit.errors import Argument, InputError, printable
from mnist_lit.files import sha256
from mnist_lit.pictures.constants import LARGEST_SIDE, SMALLEST_SIDE

MAX_BYTES = 8_000_000_000  # of all arrays, unpacked

log = logging.getLogger("mnist_lit")


class Arrays:
    """A file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras's `mnist.npz` has them.

    Images are N×H×W or N×H×W×1, integers from 0 to 255 or floating-point numbers from 0 to 1;
    labels are integers from 0, N or N×1. Classes are named by their numbers, or by the strings in
    an array `class_names` where there is one.

    Args:
        path: The file.
        preprocessing: How a picture becomes such an image.
        image_size: Side of the images; those of another size are scaled by the preprocessing.
            Default: that of the images in the file, which are taken as they are.

    Raises:
        InputError: The file is damaged or holds anything else.
    """

    def __init__(
        self, path: Path, preprocessing: str = "plain", *, image_size: int | None = None
    ) -> None:
        self.path = path
        self.name = unicodedata.normalize("NFC", path.stem)
        self.preprocessing = preprocessing
        self.odd: list[str] = []  # what was odd when it was prepared, a line each
        arrays = _read(path)
        self.fingerprint = sha256(path)
        self._parts = {
            part: (_images(path, arrays, part), _labels(path, arrays, part))
            for part in ("train", "test")
        }
        self.image_size = image_size or self._own_size()
        self.class_names = self._names(arrays)
        self._prepared = False

    def prepare(self) -> None:
        """Scale the images where they have another size; warn of what is odd about them."""
        if self._prepared:
            return
        self._scale()
        self.odd = findings(self._parts, self.class_names)
        for line in self.odd:
            log.warning(printable(f"{self.path}: {line}"))
        self._prepared = True

    def load(self, val_split: float) -> Splits:
        """Return the splits; the last share of the training images is set apart as `val`."""
        self._scale()
        train, test = (
            (torch.from_numpy(images[:, None]), torch.from_numpy(labels))
            for images, labels in (self._parts["train"], self._parts["test"])
        )
        return last(*train, val_split) | {"test": test}

    def _scale(self) -> None:
        side = self.image_size
        for part, (images, labels) in self._parts.items():
            if images.shape[1:] != (side, side):
                scaled = [*convert(images, self.preprocessing, side, f"{self.name} ({part})")]
                self._parts[part] = (np.stack(scaled), labels)  # type: ignore[arg-type]

    def _own_size(self) -> int:
        sizes = {images.shape[1:] for images, _ in self._parts.values()}
        height, width = min(sizes)
        if len(sizes) > 1 or height != width or not SMALLEST_SIDE <= width <= LARGEST_SIDE:
            found = " and ".join(f"{height}×{width}" for height, width in sorted(sizes))
            raise InputError(
                self.path,
                f"has images of {found}, not square ones of one size from {SMALLEST_SIDE} to "
                f"{LARGEST_SIDE}",
                ("scale them into a square by", Argument("image_size")),
            )
        return int(width)

    def _names(self, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
        n = 1 + max(int(labels.max()) for _, labels in self._parts.values())
        names = [str(name) for name in arrays.get("class_names", range(n))]
        if n > len(names):
            raise InputError(
                self.path,
                f"has labels up to {n - 1} and {len(names)} class names",
                "give class_names, if at all, a name for each label from 0",
            )
        if problem := class_names.problem(names):
            raise InputError(self.path, problem, "number the classes from 0, or name each in "
                             "class_names")  # fmt: skip
        return names


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays in a file.

    Raises:
        InputError: It isn't a whole archive of plain arrays, is too large, or lacks an array.
    """
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                limit = f"{MAX_BYTES // 10**9} GB"
                raise InputError(path, f"unpacks to more than {limit}", "cut it in parts")
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
    except InputError:
        raise
    except Exception as error:  # a malformed archive can make the decoder raise anything
        raise InputError(
            path,
            f"is not a whole .npz file of plain arrays ({error})",
            "save it again by numpy.savez",
        ) from error
    wanted = [f"{x}_{part}" for part in ("train", "test") for x in "xy"]
    if lacking := [name for name in wanted if name not in arrays]:
        raise InputError(
            path,
            f"lacks {', '.join(lacking)}",
            f"name its arrays so, instead of {', '.join(arrays) or 'none'}",
        )
    return arrays


def _images(path: Path, arrays: Mapping[str, NDArray[Any]], part: str) -> NDArray[np.uint8]:
    images = arrays[f"x_{part}"]
    what = f"has x_{part} as {images.dtype} of shape {images.shape}"
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim != 3 or not images.size:
        raise InputError(path, what, "give images as N×H×W or N×H×W×1")
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        images = np.round(images * 255)
    elif not (images.dtype.kind in "iu" and low >= 0 and high <= 255):
        raise InputError(
            path,
            f"{what}, from {low} to {high}",
            "give integers from 0 to 255 or numbers from 0 to 1",
        )
    return np.ascontiguousarray(images, np.uint8)


def _labels(path: Path, arrays: Mapping[str, NDArray[Any]], part: str) -> NDArray[np.int64]:
    labels, n = arrays[f"y_{part}"], len(arrays[f"x_{part}"])
    if (
        labels.shape not in ((n,), (n, 1))
        or labels.dtype.kind not in "iu"
        or labels.min() < 0
        or labels.max() >= class_names.MAX_CLASSES
    ):
        raise InputError(
            path,
            f"has y_{part} as {labels.dtype} of shape {labels.shape}",
            f"give an integer from 0 to {class_names.MAX_CLASSES - 1:,} for each of the {n:,} "
            "images",
        )
    return labels.astype(np.int64).reshape(-1)
