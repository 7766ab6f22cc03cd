"""Where else on a machine the files of a published data set may lie, and how they are read there.

They are read where they are, never copied, so a folder that cannot be written does too.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_lit.data.catalogue import Publication

DEBIAN = Path("/usr/share/datasets")
# Arrays of Keras's `mnist.npz` by the files that hold the same.
KERAS_ARRAYS = {
    "train-images-idx3-ubyte": "x_train",
    "train-labels-idx1-ubyte": "y_train",
    "t10k-images-idx3-ubyte": "x_test",
    "t10k-labels-idx1-ubyte": "y_test",
}
# What these folders are called for the sets that they may hold.
SHARED = {"FashionMNIST": "fashion-mnist"}


class Place(NamedTuple):
    """A file that may hold what a published one does.

    Args:
        path: The file: IDX, compressed IDX, Keras's `mnist.npz`, or EMNIST's archive.
        member: Which of the archive's arrays or files is meant.
    """

    path: Path
    member: str = ""

    def content(self, own: Publication, name: str) -> NDArray[np.uint8] | None:
        """Return what the published file `name` would hold; None where that cannot be read."""
        limit = own.size(name) + 1  # of more than this it isn't the published file
        try:
            if self.path.suffix == ".zip":
                with (
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(self.member) as packed,
                    gzip.open(packed) as file,
                ):
                    return np.frombuffer(bytearray(file.read(limit)), np.uint8)
            if self.member:
                with np.load(self.path, allow_pickle=False) as arrays:
                    items = arrays[self.member]
                header = own.header(name, len(items))
                return np.frombuffer(bytearray(header + items.tobytes()), np.uint8)
            if self.path.suffix == ".gz":
                with gzip.open(self.path) as file:
                    return np.frombuffer(bytearray(file.read(limit)), np.uint8)
            return np.fromfile(self.path, np.uint8, limit)
        except (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile):
            return None


def places(own: Publication, data_dir: str, name: str) -> Iterator[Place]:
    """Yield the files that exist and may hold what the published file `name` does.

    Those in folders that other programs made are only looked at where its checksum is known.
    """
    folder = Path(data_dir) / own.torchvision
    folders = [folder / "raw", folder / own.torchvision / "raw", folder]
    keras = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    if own.sha256 and own.torchvision in SHARED:
        folders += [parent / SHARED[own.torchvision] for parent in (keras, DEBIAN)]
    dotted = name.replace("-idx", ".idx")
    for parent in folders:
        for file in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
            path = parent / file
            if path != folder / "raw" / name and path.is_file():
                yield Place(path)
    if own.torchvision == "EMNIST":  # as it is downloaded, or unpacked as it is
        for parent in folders:
            if (path := parent / "gzip" / f"{name}.gz").is_file():
                yield Place(path)
            if (path := parent / "gzip.zip").is_file():
                yield Place(path, f"gzip/{name}.gz")
    if own.sha256 and own.torchvision == "MNIST" and (keras / "mnist.npz").is_file():
        yield Place(keras / "mnist.npz", KERAS_ARRAYS[name])
