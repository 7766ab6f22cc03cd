"""The networks as plain PyTorch modules: this file imports torch alone."""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import nn


class Network(nn.Sequential):
    """Three convolutions and two dense layers, the notebook's network with 103,786 parameters.

    Takes float images of shape N×1×28×28 with values in [0, 1] and returns log-probabilities of
    shape N×num_classes. A 25×25 crop of the upper left gives the same answer: the floors in
    28→25→12→9→4→1 leave the last three rows and columns without a path to any output.

    Each max-pool stands before its ReLU: both are monotone, so the function is the notebook's,
    with a quarter of the ReLU's work. Weights start as in Keras (Glorot-uniform, zero biases) and
    are laid out channels-last, in which CPU convolutions run fastest.

    Args:
        num_classes: Number of classes, at least 2.
        dropout: Probability that a feature is dropped in training.
    """

    side = 25  # of the part of an image that is looked at

    def __init__(self, num_classes: int = 10, *, dropout: float = 0.2) -> None:
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(1, 32, 4),
                pool1=nn.MaxPool2d(2),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 4),
                pool2=nn.MaxPool2d(2),
                relu2=nn.ReLU(),
                conv3=nn.Conv2d(64, 64, 4),
                relu3=nn.ReLU(),
                dropout=nn.Dropout(dropout),
                flatten=nn.Flatten(),
                dense1=nn.Linear(64, 64),
                sigmoid=nn.Sigmoid(),
                dense2=nn.Linear(64, num_classes),
                log_softmax=nn.LogSoftmax(dim=1),
            )
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)


class SmallNetwork(nn.Sequential):
    """A better network of no more parameters: 3×3 convolutions, each with batch normalisation.

    Takes and returns what `Network` does; 84,810 parameters for 10 classes.

    Args:
        num_classes: Number of classes, at least 2.
        dropout: Probability that a feature is dropped before the last layer in training.
    """

    side = 28

    def __init__(self, num_classes: int = 10, *, dropout: float = 0.2) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        widths = (1, 32, 48, 64, 64)
        for i, (width, padding) in enumerate(zip(widths[1:], (0, 1, 0, 0), strict=True), 1):
            # Batch normalisation has a shift of its own, so the convolution needs no bias.
            layers[f"conv{i}"] = nn.Conv2d(widths[i - 1], width, 3, padding=padding, bias=False)
            if i in (1, 3):
                layers[f"pool{i}"] = nn.MaxPool2d(2)
            layers[f"norm{i}"] = nn.BatchNorm2d(width)
            layers[f"relu{i}"] = nn.ReLU()
        layers["flatten"] = nn.Flatten()
        layers["dropout"] = nn.Dropout(dropout)
        layers["dense"] = nn.Linear(64 * 3 * 3, num_classes)
        layers["log_softmax"] = nn.LogSoftmax(dim=1)
        super().__init__(layers)
        self.to(memory_format=torch.channels_last)


NETWORKS = {"notebook": Network, "small": SmallNetwork}


class Layer(NamedTuple):
    """A layer as tables and pictures show it."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of the output, without the batch
    parameters: int


def layers(network: nn.Sequential) -> list[Layer]:
    """Return a network's layers, read off a pass through it."""
    found = []
    values = torch.zeros(1, 1, 28, 28)
    training = network.training
    with torch.no_grad():
        for name, layer in network.eval().named_children():
            values = layer(values)
            count = sum(parameter.numel() for parameter in layer.parameters())
            found.append(Layer(name, type(layer).__name__, tuple(values.shape[1:]), count))
    network.train(training)
    return found
