"""Images and labels by split, and how training images are set apart for validation or test."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mnist_lit.errors import listed

# Images as uint8 of shape N×1×H×H and labels as int64 of shape N, of `train`, `val` and `test`.
Splits = dict[str, tuple[Tensor, Tensor]]


def last(images: Tensor, labels: Tensor, share: float) -> Splits:
    """Set the last images apart for validation, unshuffled, as Keras's validation_split does."""
    n = kept(len(labels), share)
    return {"train": (images[:n], labels[:n]), "val": (images[n:], labels[n:])}


def kept(n: int, share: float) -> int:
    """Return how many of n images are left where the last share is set apart, as Keras counts."""
    return math.floor(n * (1 - share))


def stratified(labels: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Choose a share of each class at random: the same ones at each call.

    A class of two images or more gives at least one and keeps at least one. The choice does not
    depend on a run's seed, so that runs of different seeds have the same test images.
    """
    chosen = np.zeros(len(labels), bool)
    random = np.random.default_rng(0)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        n = min(max(round(share * len(of_class)), 1), len(of_class) - 1) if share else 0
        chosen[random.permutation(of_class)[:n]] = True
    return chosen


def findings(
    parts: Mapping[str, tuple[Iterable[NDArray[np.uint8]], NDArray[np.int64]]],
    class_names: Sequence[str],
) -> list[str]:
    """Return what is odd about the images and labels of `train` and `test`, a line each."""
    from mnist_lit.evaluation import unbalanced  # torchmetrics takes a second

    (train_images, train_labels), (test_images, test_labels) = parts["train"], parts["test"]
    n = len(class_names)
    train, test = np.bincount(train_labels, minlength=n), np.bincount(test_labels, minlength=n)

    def named(chosen: NDArray[np.bool_]) -> str:
        return listed([class_names[label] for label in np.flatnonzero(chosen).tolist()])

    lines = []
    if not train.all():
        lines.append(f"no training image of {named(train == 0)}")
    if not test.all():
        lines.append(f"no test image of {named(test == 0)}")
    if (train == 1).any():
        lines.append(f"only one training image of {named(train == 1)}")
    if unbalanced(train):
        low, high = int(train.argmin()), int(train.argmax())
        lines.append(
            f"classes are unbalanced: {train[low]:,} training images of {class_names[low]}, "
            f"{train[high]:,} of {class_names[high]}"
        )
    label_of: dict[int, int] = {}
    unlike = again = 0
    for image, label in zip(train_images, train_labels.tolist(), strict=True):
        unlike += label_of.setdefault(hash(image.tobytes()), label) != label
    for image, label in zip(test_images, test_labels.tolist(), strict=True):
        found = label_of.get(hash(image.tobytes()))
        again += found is not None
        unlike += found not in (None, label)
    if unlike:
        lines.append(f"{unlike:,} images are also in another class")
    if again:
        lines.append(f"{again:,} test images are also among the training images")
    return lines
