"""What a network answers to a set of images, and figures of how right it is."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

BATCH = 500


class Answers(NamedTuple):
    """A network's answers to labelled images."""

    images: NDArray[np.uint8]  # N×28×28
    labels: NDArray[np.int64]  # N
    probabilities: NDArray[np.float32]  # N×classes

    @property
    def accuracy(self) -> float:
        return float((self.probabilities.argmax(1) == self.labels).mean())


def answers(network: nn.Module, images: Tensor, labels: Tensor) -> Answers:
    """Run a network on uint8 images N×1×28×28 with int64 labels N."""
    with torch.inference_mode():
        found = torch.cat([network(part / 255).exp() for part in images.split(BATCH)])
    return Answers(images[:, 0].numpy(), labels.numpy(), found.numpy())


class Statistics(NamedTuple):
    """How right answers are, beyond the accuracy.

    Precision is the share of right ones among the images read as a class, recall among those that
    are of it; both are NaN where there are none. The balanced accuracy is the mean recall of the
    classes that have images, so that each counts the same, however large. The calibration error
    (ECE) is the mean distance between probability and accuracy over 15 bins of probability.
    """

    confusion: NDArray[np.int64]  # [label, prediction]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    balanced_accuracy: float
    calibration_error: float
    pairs: list[tuple[int, int, int]]  # label, prediction, images: the most confused first


def statistics(found: Answers) -> Statistics:
    """Return the statistics of a network's answers."""
    probabilities, labels = torch.from_numpy(found.probabilities), torch.from_numpy(found.labels)
    classes = probabilities.shape[1]
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
    error = float(multiclass_calibration_error(probabilities, labels, classes, n_bins=15))
    balanced = float(np.nanmean(recall))
    return Statistics(confusion, precision, recall, balanced, error, pairs)


def feature_maps(network: nn.Sequential, image: NDArray[np.uint8]) -> dict[str, Any]:
    """Return, by name, the maps C×H×W after each convolution's activation, for one image 28×28."""
    values = torch.from_numpy(image)[None, None] / 255
    maps: dict[str, Any] = {}
    convolution = None
    with torch.inference_mode():
        for name, layer in network.named_children():
            values = layer(values)
            if isinstance(layer, nn.Conv2d):
                convolution = name
            elif isinstance(layer, nn.ReLU) and convolution:
                maps[convolution] = values[0].numpy()
    return maps
