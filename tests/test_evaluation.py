"""Metrics of answers, against sums done by hand."""

from typing import Any

import numpy as np
import pytest

from mnist_lit import evaluation
from mnist_lit.evaluation import unbalanced


def found(labels: list[int], probabilities: list[list[float]]) -> evaluation.Answers:
    images = np.zeros((len(labels), 28, 28), np.uint8)
    with np.errstate(divide="ignore"):
        logs = np.log(np.array(probabilities, np.float32))
    return evaluation.Answers(images, np.array(labels), logs)


def test_evaluate() -> None:
    answers = found(
        [0, 0, 0, 1, 1],
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.4, 0.6, 0], [0.55, 0.45, 0]],
    )
    assert answers.accuracy == 0.6
    assert answers.probabilities[2] == pytest.approx([0.3, 0.7, 0])
    result = evaluation.evaluate(answers)
    assert (result.n, result.correct, result.accuracy) == (5, 3, 0.6)
    assert result.loss == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6, 0.45]).mean(), abs=1e-6)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert result.precision[:2].tolist() == [2 / 3, 1 / 2] and np.isnan(result.precision[2])
    assert result.recall[:2].tolist() == [2 / 3, 1 / 2] and np.isnan(result.recall[2])
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert sorted(result.pairs) == [(0, 1, 1), (1, 0, 1)]
    # Each probability is alone in its fifteenth: .1, .2, .7, .4 and .55 from being right or wrong.
    assert result.calibration_error == pytest.approx(0.39, abs=1e-6)


def test_balanced_accuracy_is_that_of_unbalanced_classes() -> None:
    answers = found([0, 0, 0, 0, 0, 1, 1], [[0.9, 0.1]] * 6 + [[0.2, 0.8]])
    assert evaluation.evaluate(answers).balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)
    answers = found([0, 0, 1, 1], [[0.9, 0.1]] * 4)
    assert evaluation.evaluate(answers).balanced_accuracy is None


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
