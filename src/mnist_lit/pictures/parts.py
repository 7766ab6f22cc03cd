"""Connected parts of masks, and masks made wider and narrower."""

from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# Rows of (top, bottom, left, right), each end the first pixel outside.
Extents = NDArray[np.int64]

# Pictures are converted by a process on each core. To say so in such a process, once it is forked
# from one where OpenCV has threads, would hang it.
cv2.setNumThreads(1)
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class Parts(NamedTuple):
    """The connected parts of a mask; pixels that meet at a corner are connected.

    Args:
        numbers: The number of each pixel's part, from 1 in the order of their first pixels; 0 where
            the mask is false.
        extents: Each part's bounding box.
        areas: How many pixels each part has.
    """

    numbers: NDArray[np.int32]
    extents: Extents
    areas: NDArray[np.int64]

    @property
    def at_edge(self) -> Mask:
        """Whether each part touches a side of the picture."""
        # A first row or column is never as far out as the picture's end, nor a last one 0.
        ends = np.repeat(self.numbers.shape, 2)
        found: Mask = ((self.extents == 0) | (self.extents == ends)).any(axis=1)
        return found

    @classmethod
    def of(cls, mask: Mask) -> Self:
        # This algorithm counts parts as they are met; others count them block by block.
        _, numbers, found, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
            _bytes(mask), 8, cv2.CV_32S, cv2.CCL_WU
        )
        left, top, width, height, areas = found[1:].T.astype(np.int64)
        return cls(
            np.asarray(numbers, np.int32),
            np.stack([top, top + height, left, left + width], axis=1),
            areas,
        )


def sides(extents: Extents) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return heights and widths."""
    return extents[:, 1] - extents[:, 0], extents[:, 3] - extents[:, 2]


def widened(mask: Mask, reach: int = 1) -> Mask:
    """Return a mask and what lies at most `reach` steps, across or down, from it."""
    return cv2.dilate(_bytes(mask), CROSS, iterations=reach).view(np.bool_)


def narrowed(mask: Mask) -> Mask:
    """Return a mask without its outline, to which its pixels at the picture's sides belong."""
    inner = cv2.erode(_bytes(mask), CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return inner.view(np.bool_)


def spans(row: Mask) -> NDArray[np.int64]:
    """Return where each run of true values begins, and the place after its end, N×2."""
    return np.flatnonzero(np.diff(row, prepend=False, append=False)).reshape(-1, 2)


def _bytes(mask: Mask) -> NDArray[np.uint8]:
    return np.ascontiguousarray(mask).view(np.uint8)
