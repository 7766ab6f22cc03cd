"""`samples`: a picture of training images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Command


def picture(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def test_file(command: Command) -> None:
    base = ("samples", "--data.source", "sample")
    answer = command(*base, "--output", "a.png")
    assert (answer.code, answer.err) == (0, "")
    assert "50 training images of mnist-sample-5k: a.png" in answer.out
    command(*base, "--output", "same.png", "--count", 50, "--seed", 0)
    assert np.array_equal(picture("a.png"), picture("same.png"))
    command(*base, "--output", "other.png", "--seed", 1)
    assert not np.array_equal(picture("a.png"), picture("other.png"))
    command(*base, "--output", "dark.png", "--style", "dark", "--count", 3, "--digits", "7")
    dark = picture("dark.png")
    assert dark.shape[1] < picture("a.png").shape[1] and dark[0, 0] < 40


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--output a.jpg", "must be a file that ends in .png"),
        ("--output a.png --digits x", "--digits x: the classes are 0 1 2"),
        ("--output a.png --count 0", "--count must be at least 1"),
        ("", "there is no display for a window: give --output FILE.png"),
    ],
)
def test_wrong_options(
    command: Command, line: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    answer = command("samples", "--data.source", "sample", *line.split())
    assert answer.code == 2 and part in answer.err and answer.err.count("\n") == 1
    assert not list(Path().glob("*.png"))
