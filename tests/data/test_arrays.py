"""Array files in Keras's layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_data
from helpers import SHORT, Command, parts
from mnist_lit.data import arrays
from mnist_lit.data.arrays import Arrays
from mnist_lit.errors import Argument, InputError
from mnist_lit.pictures import preprocessing as pictures

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
    "wrong, problem",
    [
        (images(lambda x: x[:0]), "has x_train as uint8 of shape (0, 28, 28)"),
        (images(lambda x: x.reshape(40, -1)), "has x_train as uint8 of shape (40, 784)"),
        (images(lambda x: x.astype(float)), "from 0.0 to 255.0"),
        (images(lambda x: x.astype(int) - 1), "from -1 to 254"),
        (images(lambda x: x / np.nan), "from nan to nan"),
        (labels(lambda y: y[:-1]), "has y_test as int64 of shape (19,)"),
        (labels(lambda y: y.astype(float)), "has y_test as float64"),
        (labels(lambda y: y - 1), "has y_test as int64"),
        (labels(lambda y: y + 10**6), "has y_test as int64"),
        ({"class_names": np.array(["a", "b"])}, "has labels up to 2 and 2 class names"),
        ({"class_names": np.array(["a", "b", "a"])}, "has class names that stand for two classes"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(20, int)}, "has 1 class"),
    ],
)  # fmt: skip
def test_wrong_content(wrong: dict[str, Any], problem: str) -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST, **wrong)
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"))
    assert caught.value.subject == Path("mine.npz") and caught.value.remedy
    assert problem in str(caught.value.problem)


def padded(part: small_data.Part, rows: int, columns: int) -> small_data.Part:
    return np.pad(part[0], ((0, 0), (0, rows), (0, columns))), part[1]


def test_square_images_stay_exactly_as_they_are() -> None:
    train, test = padded(TRAIN, 4, 4), padded(TEST, 4, 4)
    small_data.write_npz(Path("mine.npz"), train, test)
    for options in ({}, {"image_size": 32}):
        found = Arrays(Path("mine.npz"), "mnist", **options)
        assert found.image_size == 32
        found.prepare()
        assert np.array_equal(found.load(0)["train"][0][:, 0], train[0])
        assert np.array_equal(found.load(0)["test"][0][:, 0], test[0])


@pytest.mark.parametrize(
    "train, test",
    [
        (padded(TRAIN, 4, 0), padded(TEST, 4, 0)),
        (TRAIN, padded(TEST, 4, 4)),
        ((TRAIN[0][:, :7, :7], TRAIN[1]), (TEST[0][:, :7, :7], TEST[1])),
        (padded(TRAIN, 229, 229), padded(TEST, 229, 229)),
    ],
    ids=["oblong", "unlike", "small", "large"],
)
@pytest.mark.parametrize("preprocessing", ["plain", "mnist"])
def test_other_images_are_scaled_only_when_asked_for(
    train: small_data.Part, test: small_data.Part, preprocessing: str
) -> None:
    small_data.write_npz(Path("mine.npz"), train, test)
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"), preprocessing)
    assert caught.value.subject == Path("mine.npz")
    assert Argument("image_size") in parts(caught.value.remedy)
    found = Arrays(Path("mine.npz"), preprocessing, image_size=48)
    assert found.image_size == 48
    found.prepare()
    for part, (images, _) in (("train", train), ("test", test)):
        scaled, _ = found.load(0)[part]
        assert scaled.shape == (len(images), 1, 48, 48)
        expected = pictures.prepare(images[3].astype(np.float32), preprocessing, 48).image
        assert np.array_equal(scaled[3, 0], expected)


def test_another_process_scales_them_too() -> None:
    """Only one process of a machine prepares."""
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    assert Arrays(Path("mine.npz"), image_size=20).load(0)["train"][0].shape == (40, 1, 20, 20)


def test_odd_data_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, (TRAIN[0][:6], TRAIN[1][:6]))
    found = Arrays(Path("mine.npz"))
    found.prepare()
    found.prepare()
    assert found.odd == ["6 test images are also among the training images"]
    assert caplog.messages == [f"mine.npz: {found.odd[0]}"]


def problem_and_remedy() -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"))
    assert caught.value.subject == Path("mine.npz")
    return str(caught.value.problem), str(caught.value.remedy)


def test_wrong_files(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.npz").write_bytes(b"no archive")
    assert problem_and_remedy()[0].startswith("is not a whole .npz file")
    np.savez("mine.npz", x_train=TRAIN[0])
    assert problem_and_remedy()[0] == "lacks y_train, x_test, y_test"
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    content = Path("mine.npz").read_bytes()
    for damaged in (content[:-100], content[:5000] + b"\xff" * 50 + content[5050:]):
        Path("mine.npz").write_bytes(damaged)
        assert problem_and_remedy()[0].startswith("is not a whole .npz file")
    Path("mine.npz").write_bytes(content)
    monkeypatch.setattr(arrays, "MAX_BYTES", 10_000)
    assert problem_and_remedy()[0].startswith("unpacks to more than")


def test_nothing_is_unpickled() -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return (Path.touch, (Path("ran"),))

    np.savez("mine.npz", x_train=np.array([Canary()], dtype=object))
    assert problem_and_remedy()[0].startswith("is not a whole .npz file")
    assert not Path("ran").exists()


def test_a_run(command: Command) -> None:
    small_data.write_npz(Path("mine.npz"), TRAIN, TEST)
    answer = command("fit", "--data.dataset", "mine.npz", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "")
    assert Path("runs/mine/version_0/report.html").parent.is_dir()
    assert "dataset     mine" in command("test").out
    answer = command("doctor", "--data.dataset", "mine.npz")
    assert answer.code == 0 and "3 of 0, 2 of 1, 3 of 2" in answer.out
