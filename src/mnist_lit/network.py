"""The notebook's network as a plain PyTorch module: this file imports torch alone."""

from collections import OrderedDict

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
