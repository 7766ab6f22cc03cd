"""A `.npz` file in the layout of Keras's own data sets."""

import hashlib
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_lit.data.splits import Splits, findings, last
from mnist_lit.errors import InputError, printable

MAX_BYTES = 8_000_000_000  # of all arrays, unpacked
MAX_CLASSES = 10_000


class Arrays:
    """A file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras's `mnist.npz` has them.

    Images are N×28×28 or N×28×28×1, integers from 0 to 255 or floating-point numbers from 0 to 1;
    labels are integers from 0, N or N×1. Classes are named by their numbers, or by the strings in
    an array `class_names` where there is one.

    Args:
        path: The file.
        preprocessing: How a picture becomes such an image.

    Raises:
        InputError: The file is damaged or holds anything else.
    """

    def __init__(self, path: Path, preprocessing: str = "plain") -> None:
        self.path = path
        self.name = unicodedata.normalize("NFC", path.stem)
        self.preprocessing = preprocessing
        self.odd: list[str] = []  # what was odd when it was prepared, a line each
        self._said = False
        try:
            with path.open("rb") as file:
                self.fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
                with zipfile.ZipFile(file) as archive:
                    if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                        limit = f"{MAX_BYTES // 10**9} GB"
                        raise InputError(f"{path} unpacks to more than {limit}: cut it in parts")
                file.seek(0)
                with np.load(file, allow_pickle=False) as found:
                    arrays = {name: found[name] for name in found.files}
        except InputError:
            raise
        except Exception as error:  # what a broken archive raises is not limited
            raise InputError(f"{path} is not a whole .npz file of plain arrays: save it again "
                             f"by numpy.savez ({error})") from error  # fmt: skip
        wanted = [f"{x}_{part}" for part in ("train", "test") for x in "xy"]
        if lacking := [name for name in wanted if name not in arrays]:
            raise InputError(f"{path} lacks {', '.join(lacking)}: name its arrays so")
        self._splits = {
            part: (self._images(arrays, part), self._labels(arrays, part))
            for part in ("train", "test")
        }
        n = 1 + max(int(labels.max()) for _, labels in self._splits.values())
        self.class_names = [str(name) for name in arrays.get("class_names", range(n))]
        if not 2 <= n <= len(self.class_names) <= MAX_CLASSES:
            raise InputError(
                f"{path} has labels up to {n - 1} and {len(self.class_names)} classes: number at "
                f"least two classes from 0, and give class_names, if at all, a name for each"
            )

    def _images(self, arrays: dict[str, NDArray[Any]], part: str) -> Tensor:
        images = arrays[f"x_{part}"]
        wrong = f"{self.path}: x_{part} is {images.dtype} of shape {images.shape}"
        if images.shape[1:] not in ((28, 28), (28, 28, 1)) or not len(images):
            raise InputError(f"{wrong}, not N×28×28: write pictures of other sizes into folders")
        low, high = images.min(), images.max()
        if images.dtype.kind == "f" and low >= 0 and high <= 1:
            images = np.round(images * 255)
        elif not (images.dtype.kind in "iu" and low >= 0 and high <= 255):
            raise InputError(
                f"{wrong} from {low} to {high}: give integers from 0 to 255 or numbers from 0 to 1"
            )
        return torch.from_numpy(images.astype(np.uint8).reshape(-1, 1, 28, 28))

    def _labels(self, arrays: dict[str, NDArray[Any]], part: str) -> Tensor:
        labels, n = arrays[f"y_{part}"], len(arrays[f"x_{part}"])
        if (
            labels.shape not in ((n,), (n, 1))
            or labels.dtype.kind not in "iu"
            or labels.min() < 0
            or labels.max() >= MAX_CLASSES
        ):
            raise InputError(
                f"{self.path}: y_{part} is {labels.dtype} of shape {labels.shape}: give an "
                f"integer from 0 for each of the {n:,} images"
            )
        return torch.from_numpy(labels.astype(np.int64).reshape(-1))

    def prepare(self) -> None:
        """Print what is odd about the data set, once."""
        if not self._said:
            parts = {part: (x.numpy(), y.numpy()) for part, (x, y) in self._splits.items()}
            self.odd = findings(parts, self.class_names)
            for line in self.odd:
                print(printable(f"warning: {self.path}: {line}"), file=sys.stderr)
        self._said = True

    def load(self, val_split: float) -> Splits:
        """Return the splits; the last share of the training images is set apart as `val`."""
        return last(*self._splits["train"], val_split) | {"test": self._splits["test"]}
