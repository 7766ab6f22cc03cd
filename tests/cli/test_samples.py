"""`samples`: a picture of training images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from helpers import Command
from mnist_lit.report import figures
from mnist_lit.report import labels as lettering


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
    command(*base, "--output", "dark.png", "--style", "dark", "--count", 3, "--classes", "7")
    dark = picture("dark.png")
    assert dark.shape[1] < picture("a.png").shape[1] and dark[0, 0] < 40


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the figures that are drawn, once they are, and the notes below them."""
    found: list[str] = []
    tiles = figures.tiles

    def heard(*args: Any, **options: Any) -> Figure:
        figure = tiles(*args, **options)
        found.extend(text.get_text() for text in figure.axes[0].texts)
        return figure

    monkeypatch.setattr(figures, "tiles", heard)
    return found


def folder(pictures: dict[str, int]) -> None:
    """Write so many pictures of each class into the folder `pictures`."""
    for shade, (name, count) in enumerate(pictures.items()):
        Path("pictures", name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (28, 28), 10 * shade + i).save(Path("pictures", name, f"{i}.png"))


def test_classes_of_any_name(command: Command, titles: list[str]) -> None:
    folder({"T shirt": 1, "$x^2$": 1, "é": 1, "\ue000": 1, "photograph_of_a_cat": 4})
    base = ("samples", "--data.dataset", "pictures", "--data.val_split", 0, "--output", "a.png")
    answer = command(*base, "--classes", "T shirt", "e\u0301", "$x^2$", "photograph_of_a_cat")
    assert answer.code == 0 and "training images of pictures: a.png" in answer.out
    wanted = {"T shirt", "é", "$x^2$", "photogra…f_a_cat"}
    assert {*titles} == {*wanted, ""}
    titles.clear()
    assert command(*base).code == 0
    assert {*titles} == {*wanted, "#4", lettering.NUMBERED}


def test_wrong_classes(command: Command) -> None:
    folder({f"class {i}": 1 for i in range(100)})
    base = ("samples", "--data.dataset", "pictures", "--output", "a.png", "--classes")
    answer = command(*base, "x", "class 1")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "--classes x is unknown: the classes are class 0, class 1, " in answer.err
    assert "class 19 and 80 more" in answer.err and "class 20" not in answer.err


def test_class_without_training_images(command: Command) -> None:
    for part, names in {"train": "ab", "test": "abc"}.items():
        for shade, name in enumerate(names):
            Path("pictures", part, name).mkdir(parents=True)
            Image.new("L", (28, 28), shade).save(Path("pictures", part, name, "1.png"))
    base = ("samples", "--data.dataset", "pictures", "--output", "a.png", "--classes")
    answer = command(*base, "c")
    assert answer.code == 2 and "--classes c has no training image" in answer.err
    assert not Path("a.png").exists()
    assert command(*base, "c", "a").code == 0


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--output a.jpg", "must be a file that ends in .png"),
        ("--output a.png --classes x", "--classes x is unknown: the classes are 0, 1, 2, 3"),
        ("--output a.png --count 0", "--count 0 is too small: give at least 1"),
    ],
)
def test_wrong_options(command: Command, line: str, part: str) -> None:
    answer = command("samples", "--data.source", "sample", *line.split())
    assert answer.code == 2 and part in answer.err and answer.err.count("\n") == 1
    assert not list(Path().glob("*.png"))


def test_without_a_display_into_a_file(command: Command) -> None:
    answer = command("samples", "--data.source", "sample", "--count", 3)
    assert answer.code == 0 and answer.out.endswith("samples.png\n")
    assert Path("samples.png").read_bytes().startswith(b"\x89PNG")
