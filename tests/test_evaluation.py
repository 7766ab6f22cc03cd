"""Figures of how right answers are, against sums done by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from mnist_lit import Network, evaluation
from mnist_lit.evaluation import unbalanced


def found(labels: list[int], probabilities: list[list[float]]) -> evaluation.Answers:
    images = np.zeros((len(labels), 28, 28), np.uint8)
    return evaluation.Answers(images, np.array(labels), np.array(probabilities, np.float32))


def test_statistics() -> None:
    answers = found(
        [0, 0, 0, 1, 1],
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.4, 0.6, 0], [0.55, 0.45, 0]],
    )
    assert answers.accuracy == 0.6
    result = evaluation.statistics(answers)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert result.precision[:2].tolist() == [2 / 3, 1 / 2] and np.isnan(result.precision[2])
    assert result.recall[:2].tolist() == [2 / 3, 1 / 2] and np.isnan(result.recall[2])
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert sorted(result.pairs) == [(0, 1, 1), (1, 0, 1)]
    # Each probability is alone in its fifteenth: .1, .2, .7, .4 and .55 from being right or wrong.
    assert result.calibration_error == pytest.approx(0.39, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], False),  # MNIST's test images
        ([2, 4], False),
        ([2, 5], True),
        ([0, 1], True),
        ([0, 0], False),
        ([7], False),
        ([], False),
        (np.array([130, 255], np.uint8), False),  # twice 130 is 4 in bytes
        (np.array([100, 255], np.uint8), True),
    ],
)
def test_unbalanced(counts: Any, expected: bool) -> None:
    assert unbalanced(counts) is expected


def test_answers_are_the_networks() -> None:
    network = Network().eval()
    images = torch.randint(0, 256, (7, 1, 28, 28), dtype=torch.uint8)
    answers = evaluation.answers(network, images, torch.zeros(7).long())
    assert answers.images.shape == (7, 28, 28)
    expected = network(images / 255).exp().detach().numpy()
    assert np.allclose(answers.probabilities, expected, atol=1e-6)


def test_feature_maps() -> None:
    network = Network().eval()
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    maps = evaluation.feature_maps(network, image)
    assert {name: values.shape for name, values in maps.items()} == {
        "conv1": (32, 12, 12),
        "conv2": (64, 4, 4),
        "conv3": (64, 1, 1),
    }
    with torch.no_grad():
        values = torch.from_numpy(image)[None, None] / 255
        for layer in list(network)[:3]:
            values = layer(values)
    assert np.array_equal(maps["conv1"], values[0].numpy())
