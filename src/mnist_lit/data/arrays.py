"""A `.npz` file of images and labels."""

import itertools
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_lit.data.file import File, Options, Part
from mnist_lit.data.listing import PARTS
from mnist_lit.data.values import Wrong, grey, square
from mnist_lit.errors import InputError, listed

MAX_BYTES = 8_000_000_000  # of the arrays that are read, unpacked

# What people call arrays, without the name of a part and without `_`.
KINDS = (
    dict.fromkeys(("x", "image", "images", "img", "imgs", "data", "pixels", "inputs", ""), "images")
    | dict.fromkeys(("y", "label", "labels", "target", "targets", "class", "classes"), "labels")
    | dict.fromkeys(("classnames", "labelnames", "targetnames", "names", "categories"), "names")
)
NEAREST = "x_train and y_train, and x_test and y_test where there are test images"
# How the eye weighs red, green and blue (ITU-R BT.601), as for pictures.
RED, GREEN, BLUE = 0.299, 0.587, 0.114


class Arrays(File):
    """A `.npz` file in one of the layouts that people share, as Keras's `mnist.npz` is one.

    The arrays are `x_train` and `y_train`, and `x_test` and `y_test` where there are test images,
    or their like: `KINDS` has the names. Images are N×H×W, N×H×W×1, N×1×H×W, N×H² or in colour;
    truth values, integers from 0 to 255, or floating-point numbers from 0 to 1 or to 255. Labels
    are whole numbers from 0 or 1, of shape N or N×1, one-hot, or text. Classes are named by their
    numbers, or by the strings in an array `class_names` where there is one.
    """

    suffix = "-npz"

    def _parse(self) -> tuple[Mapping[str, Part], Sequence[str] | None]:
        with _opened(self.path) as archive:
            found = _named(self.path, archive)
            held = {part for kind, part in found if kind != "names"}
            if "train" not in held:
                raise InputError(
                    self.path,
                    f"has no training images, only {listed(list(archive))}",
                    f"name its arrays {NEAREST}",
                )
            parts: dict[str, Part] = {
                part: self._part(
                    archive, part, found.get(("images", part)), found.get(("labels", part))
                )
                for part in ("train", "val", "test")
                if part in held
            }
            names = found.get(("names", "train"))
            return parts, None if names is None else [str(name) for name in archive[names]]

    def _part(
        self, archive: Mapping[str, NDArray[Any]], part: str, x: str | None, y: str | None
    ) -> Part:
        if x is None or y is None:
            lacking, there = ("images", y) if x is None else ("labels", x)
            raise InputError(
                self.path, f"has {there} without {lacking}", f"name its arrays {NEAREST}"
            )
        images, white = _images(self.path, x, archive[x], self.options)
        labels = archive[y]
        what = f"{y} as {labels.dtype} of shape {labels.shape}"
        return Part(images, white, _labels(self.path, what, labels, len(images)), what)


def unlabelled(path: Path, options: Options) -> NDArray[np.uint8]:
    """Return the images in a file, N×H×W, whether there are labels or not; of several parts `test`.

    Raises:
        InputError: The file is damaged or holds anything else.
    """
    with _opened(path) as archive:
        found = _named(path, archive)
        for part in ("test", "train", "val"):
            if name := found.get(("images", part)):
                return _images(path, name, archive[name], options)[0]
        raise InputError(path, f"holds no images, only {listed(list(archive))}", "name them x")


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Give the arrays in a file, each read when it is asked for.

    Raises:
        InputError: It isn't a whole archive of plain arrays, or is too large.
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
                yield found
    except InputError:
        raise
    except Exception as error:  # a malformed archive can make the decoder raise anything
        raise InputError(
            path,
            f"is not a whole .npz file of plain arrays ({error})",
            "save it again by numpy.savez, names of classes as text by astype(str)",
        ) from error


def _named(path: Path, archive: Mapping[str, NDArray[Any]]) -> dict[tuple[str, str], str]:
    """Return the names of arrays by their kind and part.

    Raises:
        InputError: There are no images, or two arrays of one kind.
    """
    names = list(archive)
    found: dict[tuple[str, str], str] = {}
    for name in names:
        role = _role(name)
        if role in found:
            raise InputError(
                path, f"has both {found[role]} and {name}", f"name its arrays {NEAREST}"
            )
        if role:
            found[role] = name
    if not any(kind == "images" for kind, _ in found):
        found |= _numbered(archive)
    if not any(kind == "images" for kind, _ in found):
        shapes = [f"{name} {archive[name].shape}" for name in names[:10]]
        raise InputError(
            path,
            f"has no array of images by its name, but {listed(shapes) or 'nothing'}",
            f"name its arrays {NEAREST}",
        )
    return found


def _role(name: str) -> tuple[str, str] | None:
    """Return the kind and part that an array's name tells, if any."""
    word = re.sub(r"[^a-z]", "", name.casefold()) if not re.search("[0-9]", name) else ""
    if not word:
        return None
    for part in sorted(PARTS, key=len, reverse=True):
        for rest in (word.removeprefix(part), word.removesuffix(part)):
            if rest != word and rest in KINDS:
                return KINDS[rest], PARTS[part]
    return (KINDS[word], "train") if word in KINDS else None


def _numbered(archive: Mapping[str, NDArray[Any]]) -> dict[tuple[str, str], str]:
    """Return the kinds of the arrays `arr_0`, `arr_1`, …, by their shapes and order."""
    names = sorted(name for name in archive if re.fullmatch(r"arr_[0-9]", name))
    shapes = {name: archive[name].shape for name in names}
    images = [name for name in names if _is_image_shape(shapes[name])]
    labels = [name for name in names if name not in images]
    found: dict[tuple[str, str], str] = {}
    for part, x, y in itertools.zip_longest(("train", "test"), images[:2], labels[:2]):
        if x and y and shapes[x][:1] != shapes[y][:1]:
            return {}
        found |= {("images", part): x} if x else {}
        found |= {("labels", part): y} if y else {}
    return found if len(names) <= 4 and len(images) <= 2 else {}


def _is_image_shape(shape: Sequence[int]) -> bool:
    return len(shape) >= 3 or (len(shape) == 2 and square(shape[1]) is not None)


def _images(
    path: Path, name: str, values: NDArray[Any], options: Options
) -> tuple[NDArray[np.uint8], int]:
    """Return images N×H×W and the number that stands for white in them."""
    what = f"has {name} as {values.dtype} of shape {values.shape}"
    images = _in_grey(values)
    if images is None or not images.size or images.dtype.kind not in "biuf":
        raise InputError(
            path, what, "give numbers of shape N×H×W, N×H×W×1, N×1×H×W, N×H×W×3 or N×784"
        )
    try:
        found, white = grey(images, options.value_range)
    except Wrong as wrong:
        raise InputError(path, f"{what}, {wrong.problem}", wrong.remedy) from wrong
    return np.ascontiguousarray(found.swapaxes(1, 2) if options.transposed else found), white


def _in_grey(values: NDArray[Any]) -> NDArray[Any] | None:
    """Return values as N×H×W, colours as the grey that they look; None for other shapes."""
    if values.ndim == 2:
        side = square(values.shape[1])
        return None if side is None else values.reshape(-1, side, side)
    if values.ndim == 4 and values.shape[3] not in (1, 3) and values.shape[1] in (1, 3):
        values = values.transpose(0, 2, 3, 1)
    if values.ndim == 4 and values.shape[3] == 3 and values.dtype.kind in "iuf":
        return _mixed(values)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    return values if values.ndim == 3 else None


def _mixed(values: NDArray[Any]) -> NDArray[Any]:
    """Return colours N×H×W×3 as grey; integers stay integers, and like colours stay exact."""
    red, green, blue = (values[..., i] for i in range(3))
    if (red == green).all() and (red == blue).all():
        return red
    mixed = np.empty(values.shape[:3], np.float32)
    for i, image in enumerate(values):
        mixed[i] = image @ np.array([RED, GREEN, BLUE])
    return np.round(mixed).astype(np.int64) if values.dtype.kind in "iu" else mixed


def _labels(path: Path, what: str, values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return labels as N numbers or text."""
    labels = values
    if values.ndim == 2 and values.shape[1] == 1:
        labels = values[:, 0]
    elif values.ndim == 2 and values.dtype.kind in "biuf":
        if not (((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
            remedy = "give a single label for each image"
            raise InputError(path, f"has {what}, not one-hot", remedy)
        labels = values.argmax(1)
    if labels.shape != (n,) or labels.dtype.kind not in "biufUS":
        raise InputError(path, f"has {what}", f"give a label for each of the {n:,} images")
    return labels
