"""What is set apart, and what is odd about a data set."""

import numpy as np
import pytest
import torch

import small_data
from mnist_lit.data import splits


def test_last_images_validate() -> None:
    images, labels = torch.zeros(10, 1, 48, 48), torch.arange(10)
    found = splits.last(images, labels, 0.25)
    assert found["train"][1].tolist() == list(range(7)) and found["val"][1].tolist() == [7, 8, 9]
    assert found["train"][0].shape == (7, 1, 48, 48)
    assert splits.last(images, labels, 0)["val"][1].tolist() == []


@pytest.mark.parametrize("share, chosen", [(0, [0, 0, 0]), (0.2, [2, 1, 0]), (0.99, [9, 1, 0])])
def test_a_share_of_each_class(share: float, chosen: list[int]) -> None:
    labels = np.repeat([0, 1, 2], [10, 2, 1])
    found = splits.stratified(labels, share)
    assert np.bincount(labels[found], minlength=3).tolist() == chosen
    assert np.array_equal(found, splits.stratified(labels, share))


def test_findings() -> None:
    train, test = small_data.digits(60, 3), small_data.digits(30, 3, skip=60)
    assert splits.findings({"train": train, "test": test}, ["a", "b", "c"]) == []
    few = {
        "train": (train[0][:41], np.array([0] * 40 + [1])),
        "test": (train[0][:3], test[1][:3]),
    }
    assert splits.findings(few, ["a", "b", "c"]) == [
        "no training image of c",
        "only one training image of b",
        "classes are unbalanced: 0 training images of c, 40 of a",
        "2 images are also in another class",
        "3 test images are also among the training images",
    ]


def test_a_picture_in_two_classes_of_training() -> None:
    images, labels = small_data.digits(20, 2)
    doubled = (np.concatenate([images, images[:1]]), np.append(labels, 1 - labels[0]))
    found = splits.findings({"train": doubled, "test": small_data.digits(10, 2, skip=20)}, "ab")
    assert "1 images are also in another class" in found
