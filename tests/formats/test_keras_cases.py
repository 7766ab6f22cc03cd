"""Keras models that people have published, with the answers that real Keras gives."""

from pathlib import Path

import numpy as np
import pytest

from mnist_lit import import_keras
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.published import Published
from mnist_lit.network.inference import probabilities

CASES = [
    "01-dense.keras", "02-dense.h5", "03-conv-pixels-255.h5", "04-letters.h5", "05-flat-784.h5",
    "06-keras-example.keras", "07-keras-2.3.h5", "08-sigmoid-pixels-255.h5", "09-same.h5",
    "10-keras-2.2.4.h5",
]  # fmt: skip


@pytest.mark.mnist
@pytest.mark.parametrize("name", CASES)
def test_published_models_come_over(name: str, cases_dir: Path, mnist_dir: Path) -> None:
    expected = np.load(cases_dir / "keras" / f"{name}.npz")
    high = float(expected["input_high"])
    import_keras(cases_dir / "keras" / name, "imported.ckpt", input_range=(0.0, high))
    network = checkpoints.read("imported.ckpt").build()
    images, labels = Published("mnist", str(mnist_dir)).read("test")
    found = probabilities(network, images).numpy()
    assert abs(found[:200] - expected["probabilities"]).max() <= 1e-4
    if name != "04-letters.h5":
        correct = int((found.argmax(1) == labels.numpy()).sum())
        assert abs(correct - int(expected["correct"])) <= 1


def test_every_case_is_listed(cases_dir: Path) -> None:
    there = {path.name for path in (cases_dir / "keras").iterdir()}
    assert {name.removesuffix(".npz") for name in there} == set(CASES)
