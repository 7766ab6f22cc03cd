"""The user's own data, in whatever form they were found: splits, oddities, what is left out."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_lit.data.cache import Images
from mnist_lit.data.splits import Splits, findings, kept, stratified
from mnist_lit.errors import InputError, Words, listed, printable

TEST_SHARE = 0.2  # of each class, where nothing says which images are for test

log = logging.getLogger("mnist_lit")


class Own(ABC):
    """Images with labels that the user has; a subclass for each form says how to read them.

    A subclass sets the attributes, and ends its `__init__` with `_check_names`. `labels` and
    `parts` say of each image which class it is of, and whether it is for `train`, `val` or `test`.

    Args:
        path: Where they are.
        name: What records call them.
        preprocessing: How a picture becomes an image, as in `pictures.prepare`.
    """

    suffix: str  # added to the name where a published data set has the same
    in_order = False  # whether the last training images validate, or else a share of each class
    image_size: int
    class_names: list[str]
    fingerprint: str
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]

    def __init__(self, path: Path, name: str, preprocessing: str) -> None:
        self.path = path
        self.name = name
        self.preprocessing = preprocessing
        self.odd: list[str] = []  # what was odd when it was prepared, a line each
        self._images: NDArray[np.uint8] | None = None
        self._faults: list[str | None] = []  # why each has no image; empty where it has one

    @abstractmethod
    def _convert(self) -> Images:
        """Return the images, or why there are none."""

    @abstractmethod
    def item(self, index: int) -> str:
        """Return what the user knows an image by."""

    def _notes(self) -> list[str]:
        """Return what is odd about this form of data, a line each."""
        return []

    def _unreadable_remedy(self) -> Words | None:
        """Return the remedy for images that cannot be read, or None if they may be left out."""
        return None

    def prepare(self) -> None:
        """Convert what is new, and warn of what is odd about the data set.

        Raises:
            InputError: Images that may not be left out cannot be read, or none can.
        """
        if self._faults:
            return
        self._read()
        self.odd = self._findings()
        for line in self.odd:
            log.warning(printable(f"{self.path}: {line}"))

    def load(self, val_split: float) -> Splits:
        """Return the splits; where nothing says which, a share of the training images is `val`."""
        if self._images is None:
            self._read()
        images = self._images
        assert images is not None
        places = self._places()
        if val_split and "val" not in places:
            train = places["train"]
            if self.in_order and "test" in self.parts:
                val = np.arange(len(train)) >= kept(len(train), val_split)
            else:
                val = stratified(self.labels[train], val_split)
            places |= {"train": train[~val], "val": train[val]}
        elif not val_split:
            places.pop("val", None)
        splits = {
            part: (torch.from_numpy(images[at][:, None]), torch.from_numpy(self.labels[at]))
            for part, at in ((part, _span(at)) for part, at in places.items())
        }
        self._images = None  # or all would be in memory twice
        return splits

    @property
    def unreadable(self) -> dict[str, str]:
        """What is wrong with each image that cannot be read, by what the user knows it by."""
        return {self.item(i): why for i, why in enumerate(self._faults) if why}

    def _read(self) -> None:
        self._images, self._faults = self._convert()
        unreadable = [f"{name} {why}" for name, why in self.unreadable.items()]
        remedy = self._unreadable_remedy()
        if unreadable and (remedy or len(unreadable) == len(self.labels)):
            raise InputError(
                self.path,
                f"has {len(unreadable):,} pictures of {len(self.labels):,} that cannot be read "
                f"({listed(unreadable)})",
                remedy or "fix or remove them",
            )

    def _findings(self) -> list[str]:
        images = self._images
        assert images is not None
        lines = []
        if unreadable := list(self.unreadable):
            lines.append(
                f"{len(unreadable):,} of {len(self.labels):,} pictures cannot be read and are left "
                f"out: {listed(unreadable)} (`python -m mnist_lit doctor`, given the same data, "
                "lists the reasons)"
            )
        lines += self._notes()
        low, high = (pick(images, axis=(1, 2)) for pick in (np.min, np.max))
        same = zip(low == high, self._faults, strict=True)
        if blank := [self.item(i) for i, (flat, why) in enumerate(same) if flat and not why]:
            lines.append(f"blank: {listed(blank)}")
        parts = {
            part: ((images[i] for i in at), self.labels[at]) for part, at in self._places().items()
        }
        return lines + findings(parts, self.class_names)

    def _places(self) -> dict[str, NDArray[np.intp]]:
        """Return for each split the places of its images that can be read."""
        readable = np.flatnonzero([fault == "" for fault in self._faults])
        parts = self.parts[readable]
        if "test" not in self.parts:
            parts = parts.copy()
            at = np.flatnonzero(parts == "train")
            chosen = stratified(self.labels[readable[at]], TEST_SHARE)
            parts[at[chosen]] = "test"
        names = ("train", "test", *(["val"] if "val" in parts else []))
        return {part: readable[parts == part] for part in names}

    def _check_names(self) -> None:
        """Refuse classes that have one name for training and another for test.

        Raises:
            InputError: There are such classes.
        """
        present = {
            part: {self.class_names[i] for i in np.unique(self.labels[self.parts == part])}
            for part in ("train", "val", "test")
        }
        for part in ("val", "test"):
            here, there = present["train"] - present[part], present[part] - present["train"]
            cores = {_core(name): name for name in sorted(here)}
            pairs = [(cores[_core(name)], name) for name in sorted(there) if _core(name) in cores]
            if there and not present["train"] & present[part] and not pairs:
                pairs = [(min(here), min(there))]
            if pairs:
                of_train, of_part = pairs[0]
                raise InputError(
                    self.path,
                    f"names its classes in two ways: {of_train!r} for training and "
                    f"{of_part!r} for {part}",
                    "name each class alike in both",
                )


def _span(places: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """Return places as a slice where they follow each other, which takes no memory."""
    follow = len(places) > 0 and places[-1] - places[0] + 1 == len(places)
    return slice(places[0], places[-1] + 1) if follow else places


def _core(name: str) -> str:
    """Return the number in a name, or its last word: what `digit 0`, `0` and `class_0` share."""
    words: Sequence[str] = re.findall(r"[0-9]+|[^\W\d_]+", name.casefold())
    numbers = [str(int(word)) for word in words if word.isdecimal()]
    return numbers[0] if len(numbers) == 1 else words[-1] if words else name
