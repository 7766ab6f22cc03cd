"""A folder of pictures, with a folder for each class, as a data set."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_lit.data.cache import Cache
from mnist_lit.data.listing import as_text, scan
from mnist_lit.data.splits import Splits, findings, listed, stratified
from mnist_lit.errors import Argument, InputError, printable
from mnist_lit.files import sha256_of_text

TEST_SHARE = 0.2  # of each class, where no folder holds test pictures
NONE = np.zeros((0, 1, 1), np.uint8)

log = logging.getLogger("mnist_lit")


class Folder:
    """A folder of pictures: `train/<class>/…` and `test/<class>/…`, or `<class>/…`.

    In the first layout `val/<class>/…` may hold validation pictures. In the second a fifth of each
    class is set apart for test, the same one in every run. Classes and pictures are in the order of
    their names, numbers in them as numbers. Hidden files are left out; folders within a class's
    folder belong to the class.

    Args:
        path: The folder.
        data_dir: The converted pictures are kept in its folder `pictures`.
        preprocessing: How a picture becomes an image, as in `pictures.prepare`.
        strict: Whether a picture that cannot be read is an error; otherwise it is left out.
        image_size: Side of the images.

    Raises:
        InputError: The folder doesn't hold two classes.
    """

    def __init__(
        self,
        path: Path,
        data_dir: str,
        preprocessing: str = "plain",
        *,
        strict: bool = False,
        image_size: int = 28,
    ) -> None:
        self.path = path
        self.name = as_text(path.resolve().name)
        self.preprocessing = preprocessing
        self.image_size = image_size
        self.strict = strict
        self.class_names, self.files, self._strays, self._empty = scan(path)
        states = "\n".join(f"{file.part} {file.name} {file.size}" for file in self.files)
        self.fingerprint = sha256_of_text(states)
        self._cache = Cache(path, self.name, preprocessing, image_size, data_dir)
        self._labels = np.array([file.label for file in self.files])
        self._images = NONE
        self.odd: list[str] = []  # what was odd when it was prepared, a line each
        self._faults: list[str | None] = []  # why each file has no image; empty where it has one

    def prepare(self) -> None:
        """Convert the pictures that are new, and warn of what is odd about the data set.

        Raises:
            InputError: A picture cannot be read, under `strict`; or no picture can.
            RunError: The converted pictures cannot be kept.
        """
        if self._faults:
            return
        self._read()
        self.odd = self._findings()
        for line in self.odd:
            log.warning(printable(f"{self.path}: {line}"))

    def load(self, val_split: float) -> Splits:
        """Return the splits; where no folder says which, a share of each class is `val`."""
        if not len(self._images):
            self._read()
        places = self._places()
        if val_split and "val" not in places:
            val = stratified(self._labels[places["train"]], val_split)
            places |= {"train": places["train"][~val], "val": places["train"][val]}
        elif not val_split:
            places.pop("val", None)
        splits = {
            part: (torch.from_numpy(self._images[at][:, None]), torch.from_numpy(self._labels[at]))
            for part, at in places.items()
        }
        self._images = NONE  # or all would be in memory twice
        return splits

    @property
    def unreadable(self) -> dict[str, str]:
        """What is wrong with each picture that cannot be read, by its name."""
        return {f.name: why for f, why in zip(self.files, self._faults, strict=True) if why}

    def _read(self) -> None:
        self._images, self._faults = self._cache.images(self.files)
        unreadable = [f"{name} {why}" for name, why in self.unreadable.items()]
        if unreadable and (self.strict or len(unreadable) == len(self.files)):
            without = ("or leave out", Argument("strict", True)) if self.strict else ()
            raise InputError(
                self.path,
                f"has {len(unreadable):,} pictures of {len(self.files):,} that cannot be read "
                f"({listed(unreadable)})",
                ("fix or remove them", *without),
            )

    def _findings(self) -> list[str]:
        lines = []
        if unreadable := list(self.unreadable):
            lines.append(
                f"{len(unreadable):,} of {len(self.files):,} pictures cannot be read and are left "
                f"out: {listed(unreadable)} (`python -m mnist_lit doctor` lists the reasons)"
            )
        if self._strays:
            lines.append(f"left out, because in no class's folder: {listed(self._strays)}")
        if self._empty:
            lines.append(f"folders without a picture are not classes: {listed(self._empty)}")
        if blank := self._blank():
            lines.append(f"blank: {listed(blank)}")
        parts = {
            part: ((self._images[i] for i in at), self._labels[at])
            for part, at in self._places().items()
        }
        return lines + findings(parts, self.class_names)

    def _blank(self) -> list[str]:
        low, high = (pick(self._images, axis=(1, 2)) for pick in (np.min, np.max))
        files = zip(self.files, low == high, self._faults, strict=True)
        return [file.name for file, same, fault in files if same and not fault]

    def _places(self) -> dict[str, NDArray[np.intp]]:
        """Return for each split the places of its pictures that can be read."""
        readable = np.flatnonzero([fault == "" for fault in self._faults])
        parts = np.array([file.part for file in self.files])[readable]
        if not self.files[0].part:
            parts = np.where(stratified(self._labels[readable], TEST_SHARE), "test", "train")
        names = ("train", "test", *(["val"] if "val" in parts else []))
        return {part: readable[parts == part] for part in names}
