"""Array files in Keras's layout."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_data
from helpers import SHORT, Command
from mnist_lit.data.arrays import Arrays
from mnist_lit.errors import InputError

TRAIN, TEST = small_data.digits(40, 3), small_data.digits(20, 3, skip=40)


def test_kerass_layout() -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    found = Arrays(Path("mine.npz"))
    assert (found.name, found.class_names) == ("mine", ["0", "1", "2"])
    splits = found.load(0.25)
    assert np.array_equal(splits["train"][0][:, 0], TRAIN[0][:30])  # the last ones validate
    assert np.array_equal(splits["val"][0][:, 0], TRAIN[0][30:])
    assert splits["val"][1].tolist() == TRAIN[1][30:].tolist()
    assert np.array_equal(splits["test"][0][:, 0], TEST[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images[..., None],
        lambda images: images.astype(np.int64),
        lambda images: (images / 255).astype(np.float32),
        lambda images: images / 255,
    ],
    ids=["channels", "int64", "float32", "float64"],
)
def test_other_ways_to_write_the_same(change: Any) -> None:
    train, test = ((change(images), labels[:, None]) for images, labels in (TRAIN, TEST))
    small_data.write_npz(Path("mine.npz"), train, test, class_names=np.array(["あ", "い", "う"]))
    found = Arrays(Path("mine.npz"))
    assert found.class_names == ["あ", "い", "う"]
    assert np.array_equal(found.load(0)["train"][0][:, 0], TRAIN[0])
    assert found.load(0)["train"][1].tolist() == TRAIN[1].tolist()


def images(change: Any) -> dict[str, Any]:
    return {"x_train": change(TRAIN[0])}


def labels(change: Any) -> dict[str, Any]:
    return {"y_test": change(TEST[1])}


@pytest.mark.parametrize(
    "wrong, words",
    [
        (images(lambda x: np.pad(x, ((0, 0), (2, 2), (2, 2)))), "uint8 of shape (40, 32, 32), not"),
        (images(lambda x: x[:0]), "not N×28×28"),
        (images(lambda x: x.astype(float)), "from 0.0 to 255.0: give integers"),
        (images(lambda x: x.astype(int) - 1), "from -1 to 254"),
        (images(lambda x: x / np.nan), "from nan to nan"),
        (labels(lambda y: y[:-1]), "y_test is int64 of shape (19,)"),
        (labels(lambda y: y.astype(float)), "y_test is float64"),
        (labels(lambda y: y - 1), "give an integer from 0"),
        (labels(lambda y: y + 10**6), "give an integer from 0"),
        ({"class_names": np.array(["a", "b"])}, "labels up to 2 and 2 classes"),
    ],
)  # fmt: skip
def test_wrong_content(wrong: dict[str, Any], words: str) -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST, **wrong)
    with pytest.raises(InputError, match=re.escape(words)):
        Arrays(Path("mine.npz"))


def test_wrong_files() -> None:
    Path("mine.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a whole"):
        Arrays(Path("mine.npz"))
    np.savez("mine.npz", x_train=TRAIN[0])
    with pytest.raises(InputError, match="lacks y_train, x_test, y_test"):
        Arrays(Path("mine.npz"))
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    content = Path("mine.npz").read_bytes()
    for damaged in (content[:-100], content[:5000] + b"\xff" * 50 + content[5050:]):
        Path("mine.npz").write_bytes(damaged)
        with pytest.raises(InputError, match="not a whole"):
            Arrays(Path("mine.npz"))


def test_nothing_in_it_runs() -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return (Path.touch, (Path("ran"),))

    np.savez("mine.npz", x_train=np.array([Canary()], dtype=object))
    with pytest.raises(InputError, match="not a whole"):
        Arrays(Path("mine.npz"))
    assert not Path("ran").exists()


def test_a_run(command: Command) -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    answer = command("fit", "--data.dataset", "mine.npz", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "")
    assert Path("runs/mine/version_0/report.html").parent.is_dir()
    assert "dataset     mine" in command("test").out
    answer = command("doctor", "--data.dataset", "mine.npz")
    assert "data       mine.npz: 3 classes" in answer.out
