"""`doctor`: what is there, what is missing, and how to fix it."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import Command


@pytest.mark.mnist
def test_real_files(command: Command, mnist_dir: Path) -> None:
    answer = command("doctor", "--data.data_dir", mnist_dir)
    assert answer.code == 0 and answer.out.endswith("nothing is missing\n")
    assert "train-images-idx3-ubyte   right, sha256 ba891046e6505d7a" in answer.out


def test_missing_files_and_the_remedy(command: Command) -> None:
    answer = command("doctor")
    assert answer.code == 1
    assert "t10k-labels-idx1-ubyte    is missing" in answer.out
    assert "python -m mnist_lit fit --data.source full --data.data_dir data" in answer.out
    for name in ("python", "torch", "lightning", "device"):
        assert name in answer.out


def test_sample(command: Command) -> None:
    answer = command("doctor", "--data.source", "sample")
    assert answer.code == 0 and "data       the embedded sample\n" in answer.out


def test_missing_package(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["no-such-package>=3", "torch<1"])
    answer = command("doctor", "--data.source", "sample")
    assert answer.code == 1
    assert 'no-such-package is missing: python -m pip install "no-such-package>=3"' in answer.out
    assert 'python -m pip install "torch<1"' in answer.out


def test_folder_of_pictures(command: Command) -> None:
    pixels = np.random.default_rng(0)
    for name in "ab":
        Path("shapes", name).mkdir(parents=True)
        for i in range(5):
            picture = pixels.integers(0, 255, (40, 40), np.uint8)
            Image.fromarray(picture).save(f"shapes/{name}/{i}.png")
    options = ("--data.dataset", "shapes", "--data.image_size", 40)
    answer = command("doctor", *options)
    assert answer.code == 0 and "shapes: 2 classes, 40×40 pixels" in answer.out
    assert "train" in answer.out and "of a, " in answer.out
    Path("shapes/a/0.png").write_text("no picture")
    answer = command("doctor", *options)
    assert answer.code == 1 and "to fix     shapes/a/0.png " in answer.out
