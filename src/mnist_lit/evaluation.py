"""The metrics of a finished evaluation; training keeps running totals in its module."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)


class Answers(NamedTuple):
    """A network's answers to labelled images."""

    images: NDArray[np.uint8]  # N×H×W
    labels: NDArray[np.int64]  # N
    log_probabilities: NDArray[np.float32]  # N×classes

    @property
    def probabilities(self) -> NDArray[np.float32]:
        return np.exp(self.log_probabilities)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image's most probable class is its label: N."""
        answered: NDArray[np.bool_] = self.log_probabilities.argmax(1) == self.labels
        return answered

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


class Evaluation(NamedTuple):
    """The metrics of a set of answers.

    The loss is the mean negative log-likelihood. Precision is the share of right answers among the
    images read as a class, recall among those of the class; both are NaN where there are none. The
    balanced accuracy is the mean recall of the classes that have images, so that each counts the
    same however large it is; it is None where the classes aren't `unbalanced`. The
    calibration error (ECE) is the mean distance between probability and accuracy over 15 bins of
    probability.
    """

    n: int
    correct: int
    loss: float
    balanced_accuracy: float | None
    confusion: NDArray[np.int64]  # [label, prediction]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    calibration_error: float
    pairs: list[tuple[int, int, int]]  # label, prediction, images: the most confused first

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def evaluate(answers: Answers) -> Evaluation:
    """Return the metrics of a network's answers."""
    probabilities, labels = (
        torch.from_numpy(answers.probabilities),
        torch.from_numpy(answers.labels),
    )
    n, classes = probabilities.shape
    confusion: NDArray[np.int64] = multiclass_confusion_matrix(
        probabilities.argmax(1), labels, classes
    ).numpy()
    right = confusion.diagonal()
    with np.errstate(invalid="ignore"):
        precision, recall = right / confusion.sum(0), right / confusion.sum(1)
    pairs = [
        (int(label), int(read), int(confusion[label, read]))
        for label, read in np.argwhere(confusion > 0)
        if label != read
    ]
    pairs.sort(key=lambda pair: -pair[2])
    own = answers.log_probabilities[np.arange(n), answers.labels].astype(np.float64)
    return Evaluation(
        n=n,
        correct=int(answers.right.sum()),
        loss=float(-own.mean()),
        balanced_accuracy=float(np.nanmean(recall)) if unbalanced(confusion.sum(1)) else None,
        confusion=confusion,
        precision=precision,
        recall=recall,
        calibration_error=float(
            multiclass_calibration_error(probabilities, labels, classes, n_bins=15)
        ),
        pairs=pairs,
    )


def unbalanced(counts: Sequence[int] | NDArray[np.integer[Any]]) -> bool:
    """Return whether the largest class has more than twice the images of the smallest.

    By this rule MNIST's classes are balanced. Classes are unbalanced where one has no image and
    another has some, and balanced where none has any.

    Args:
        counts: Images of each class; a one-dimensional array of any integers will do.
    """
    # As Python's integers: twice a large uint8 would wrap around.
    images = [int(count) for count in counts]
    return max(images, default=0) > 2 * min(images, default=0)
