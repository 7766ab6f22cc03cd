"""Numbers and names in arrays and tables: which of them are grey values, which are classes."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_lit import class_names
from mnist_lit.errors import Argument, Words
from mnist_lit.pictures.constants import LARGEST_SIDE, SMALLEST_SIDE

BLOCK = 1 << 22  # numbers that are converted at once
# Floating-point numbers that are no greater could be on some other scale than 0 to 255.
DARKEST = 64
# What PyTorch's examples subtract from MNIST and divide it by.
MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081
NUMBER = r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?"


class Wrong(Exception):
    """Values that cannot be taken: what is wrong with them and the remedy."""

    def __init__(self, problem: str, remedy: Words) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class Grey:
    """Turns numbers into grey values 0 to 255, block by block, and then knows their scale.

    Integers up to 255 are taken as they are, unless there are only zeros and ones, which are black
    and white, as truth values are. Other numbers are from 0 to 1 or from 0 to 255. Each may miss
    its range by half a grey value.

    Args:
        value_range: The numbers that stand for black and white, where they are others.
    """

    def __init__(self, value_range: Sequence[float] | None = None) -> None:
        self.range = value_range
        self.low, self.high = np.inf, -np.inf
        self.white = 0  # the number that stands for white, 1 or 255; 0 where all is black
        self._whole = True  # whether all numbers are integers, by their type
        self._blocks: list[NDArray[np.uint8]] = []
        self._scales: list[str] = []  # of each block: `bits`, `unit` or `bytes`

    def add(self, block: NDArray[Any]) -> None:
        """Take a block of bool, integer or floating-point numbers, of any shape."""
        high = float(block.max())
        self.low = float(np.minimum(self.low, block.min()))  # a NaN stays
        self.high = float(np.maximum(self.high, high))
        self._whole &= block.dtype.kind in "biu"
        scale = "bytes"
        if self.range:
            black, white = self.range
            block = (block.astype(np.float64) - black) * (255 / (white - black))
        elif high <= 1 and (block.dtype.kind in "biu" or not (block % 1).any()):
            scale = "bits"
        elif block.dtype.kind == "f" and high <= 1 + 0.5 / 255:
            scale = "unit"
            block = block * 255.0
        with np.errstate(invalid="ignore"):  # what cannot be taken is refused by `images`
            if block.dtype.kind == "f":
                block = np.round(block)
            self._blocks.append(block.clip(0, 255).astype(np.uint8))
        self._scales.append(scale)

    def images(self) -> list[NDArray[np.uint8]]:
        """Return the blocks as grey values.

        Raises:
            Wrong: The numbers are on no scale that is known, or on several.
        """
        found = f"from {self.low:.6g} to {self.high:.6g}"
        if not np.isfinite([self.low, self.high]).all():
            raise Wrong(found, "replace what is not a finite number")
        scales = set(self._scales)
        if {"unit", "bytes"} <= scales:
            raise Wrong(f"partly from 0 to 1 and partly {found}", "give all on one scale")
        self.white = 255 if "bytes" in scales else int(self.high > 0)
        # Floating-point numbers may be on any scale.
        small = not self.range and not self._whole and "bytes" in scales and self.high < DARKEST
        black, white = self.range or (0, 1 if small or "unit" in scales else 255)
        half = 0.5 * (white - black) / 255
        if self.low < black - half or (self.high > white + half and not small):
            raise Wrong(found, self._other_scales())
        if small:
            own = Argument("value_range", f"[0, {self.high:.6g}]")
            as_bytes = Argument("value_range", "[0, 255]")
            raise Wrong(found, ("say what is white, by", own, "or, if 255 is, by", as_bytes))
        if "bytes" in scales:
            return self._blocks
        return [
            block * np.uint8(255) if scale == "bits" else block
            for block, scale in zip(self._blocks, self._scales, strict=True)
        ]

    def _other_scales(self) -> Words:
        own = Argument("value_range", f"[{self.low:.6g}, {self.high:.6g}]")
        if self.range:
            return ("they should lie between the values that stand for black and white:", own)
        if self.low >= -255 and self.high <= 255 and self._whole:
            return ("give integers from 0 to 255, or name black and white by", own)
        if self.low < 0 and self.low >= -1.002 and self.high <= 1.002:
            half = Argument("value_range", "[-1, 1]")
            return (
                "if they were made by x*2-1, say so by", half,
                "and if a mean was subtracted, name the values of black and white by", own,
            )  # fmt: skip
        if self.low < 0 and self.high < 20:
            black, white = ((x - MNIST_MEAN) / MNIST_DEVIATION for x in (0, 1))
            mnists = Argument("value_range", f"[{black:.4f}, {white:.4f}]")
            return (
                "a mean was subtracted and a deviation divided by: name what black and white "
                "became by", own, "or, if they were MNIST's 0.1307 and 0.3081, by", mnists,
            )  # fmt: skip
        return ("give numbers from 0 to 1 or 0 to 255, or name black and white by", own)


def grey(
    values: NDArray[Any], value_range: Sequence[float] | None = None
) -> tuple[NDArray[np.uint8], int]:
    """Return numbers N×… as grey values of the same shape, and which of them was white.

    Raises:
        Wrong: They cannot be taken.
    """
    taken = Grey(value_range)
    rows = max(BLOCK // max(values[0].size, 1), 1)
    for start in range(0, len(values), rows):
        taken.add(values[start : start + rows])
    return np.concatenate(taken.images()), taken.white


class Classes(NamedTuple):
    """The class of each image, int64 N, and the classes' names."""

    labels: NDArray[np.int64]
    names: list[str]


def as_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Return text as numbers where each word is one; anything else as it is."""
    if labels.dtype.kind != "U" or not all(re.fullmatch(NUMBER, word) for word in set(labels)):
        return labels
    return labels.astype(np.float64)


def check_labels(labels: NDArray[Any]) -> None:
    """See that labels are text, or whole numbers that can count classes.

    Raises:
        Wrong: They are anything else.
    """
    if labels.dtype.kind in "US":
        return
    low, high = float(labels.min()), float(labels.max())
    remedy = f"give whole numbers from 0 to {class_names.MAX_CLASSES - 1:,}, or names"
    if not (low >= 0 and high <= class_names.MAX_CLASSES and np.isfinite(high)):
        raise Wrong(f"from {low:.6g} to {high:.6g}", remedy)
    if labels.dtype.kind == "f" and (labels % 1).any():
        raise Wrong("not all of them whole numbers", remedy)


def classes(labels: NDArray[Any], names: Sequence[str] | None = None) -> Classes:
    """Return the classes that labels stand for.

    Whole numbers count the classes from 0, or from 1. Text is the classes' names, which are then
    sorted, numbers in them as numbers.

    Args:
        labels: Of shape N, as `check_labels` allows them.
        names: The classes' names, where they are known beforehand.

    Raises:
        Wrong: They cannot be taken.
    """
    if labels.dtype.kind in "US":
        as_text = labels.dtype.kind == "U"
        text = labels if as_text else np.char.decode(labels, "utf-8", "replace")
        found, places = np.unique(text, return_inverse=True)
        words = [str(word) for word in found]
        order = sorted(range(len(words)), key=lambda i: (natural(words[i]), words[i]))
        rank = np.empty(len(found), np.int64)
        rank[order] = np.arange(len(found))
        return _checked(rank[places], [words[i] for i in order])
    low, high = int(labels.min()), int(labels.max())
    if low == high:
        raise Wrong(f"1 class, not 2 or more: all labels are {low}", "add images of another")
    first = 1 if low == 1 and (names is None or len(names) == high) else 0
    if names is None:
        names = [str(n) for n in range(first, high + 1)]
    if high - first >= len(names):
        raise Wrong(
            f"labels up to {high} and {len(names)} class names",
            "give class_names, if at all, a name for each label from 0",
        )
    return _checked(labels.astype(np.int64) - first, names)


def _checked(labels: NDArray[np.int64], names: Sequence[str]) -> Classes:
    if problem := class_names.problem(names):
        raise Wrong(problem.removeprefix("has "), "number the classes from 0, or name each")
    return Classes(labels, list(names))


def are_whole(text: NDArray[np.str_]) -> bool:
    """Tell whether words are all whole numbers, perhaps written as `7.0`."""
    return all(re.fullmatch(r"[0-9]+(\.0*)?", word) for word in text)


def natural(name: str) -> list[str | int]:
    """Return what sorts names as people do: numbers in them as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]


def square(pixels: int) -> int | None:
    """Return the side of a square image of so many pixels; None where there is no such image."""
    side = round(pixels**0.5)
    return side if side * side == pixels and SMALLEST_SIDE <= side <= LARGEST_SIDE else None
