"""Array files in the layouts that people share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import small_data
from helpers import SHORT, Command, parts
from mnist_lit.data import arrays, values
from mnist_lit.data.arrays import Arrays, unlabelled
from mnist_lit.data.file import Options
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


def as_colour(images: Any) -> Any:
    return np.repeat(images[..., None], 3, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images[..., None],
        lambda images: images[:, None],
        lambda images: images.reshape(len(images), -1),
        as_colour,
        lambda images: np.moveaxis(as_colour(images), 3, 1),
        lambda images: images.astype(np.int64),
        lambda images: images.astype(np.float32),
        lambda images: images + 0.3,
        lambda images: images / 255,
        lambda images: (images / 255).astype(np.float16),
        lambda images: as_colour(images / 255),
        lambda images: (images / 255) * 1.001 - 0.0005,
    ],
    ids=[
        "channel last", "channel first", "flat", "colour", "colour first", "int64", "float32",
        "fractions", "unit", "float16", "unit colour", "rounding",
    ],
)  # fmt: skip
def test_other_ways_to_write_the_same_images(change: Any) -> None:
    train, test = ((change(images), labels) for images, labels in (TRAIN, TEST))
    small_data.write_npz(Path("mine.npz"), train, test, class_names=np.array(["あ", "い", "う"]))
    found = Arrays(Path("mine.npz"))
    assert found.class_names == ["あ", "い", "う"]
    assert np.array_equal(found.load(0)["train"][0][:, 0], TRAIN[0])


@pytest.mark.parametrize(
    "change, names",
    [
        (lambda labels: labels[:, None], "012"),
        (lambda labels: labels.astype(np.uint8), "012"),
        (lambda labels: labels.astype(np.float32), "012"),
        (lambda labels: labels.astype(str), "012"),
        (lambda labels: np.eye(3)[labels], "012"),
        (lambda labels: np.eye(3, dtype=bool)[labels], "012"),
        (lambda labels: labels + 1, "123"),
        (lambda labels: np.array(["cat", "dog", "eel"])[labels], ["cat", "dog", "eel"]),
        (lambda labels: np.array([b"n 9", b"n 10", b"n 11"])[labels], ["n 9", "n 10", "n 11"]),
    ],
)
def test_other_ways_to_write_the_same_labels(change: Any, names: Any) -> None:
    train, test = ((images, change(labels)) for images, labels in (TRAIN, TEST))
    small_data.write_npz(Path("mine.npz"), train, test)
    found = Arrays(Path("mine.npz"))
    assert found.class_names == list(names)
    splits = found.load(0)
    assert splits["train"][1].tolist() == TRAIN[1].tolist()
    assert splits["test"][1].tolist() == TEST[1].tolist()


def test_names_for_labels_from_one() -> None:
    train, test = ((images, labels + 1) for images, labels in (TRAIN, TEST))
    small_data.write_npz(Path("mine.npz"), train, test, class_names=np.array(list("abc")))
    assert Arrays(Path("mine.npz")).labels.max() == 2
    small_data.write_npz(Path("mine.npz"), train, test, class_names=np.array(list("xabc")))
    assert Arrays(Path("mine.npz")).labels.max() == 3


@pytest.mark.parametrize(
    "names",
    [
        "x_train y_train x_test y_test",
        "X_train Y_train X_test Y_test",
        "train_images train_labels test_images test_labels",
        "train_x train_y test_x test_y",
        "training_images training_labels testing_images testing_labels",
        "trainX trainY testX testY",
        "images_train targets_train images_test targets_test",
        "train train_labels test test_labels",
        "arr_0 arr_1 arr_2 arr_3",
        "arr_0 arr_2 arr_1 arr_3",
    ],
)
def test_other_names_of_arrays(names: str) -> None:
    arrays: Any = dict(zip(names.split(), (*TRAIN, *TEST), strict=True))
    np.savez("mine.npz", **arrays)
    splits = Arrays(Path("mine.npz")).load(0)
    assert np.array_equal(splits["train"][0][:, 0], TRAIN[0])
    assert np.array_equal(splits["test"][0][:, 0], TEST[0])
    assert splits["test"][1].tolist() == TEST[1].tolist()


@pytest.mark.parametrize(
    "names", ["x_train y_train", "x y", "images labels", "data target", "arr_0 arr_1"]
)
def test_no_test_part(names: str) -> None:
    arrays: Any = dict(zip(names.split(), TRAIN, strict=True))
    np.savez("mine.npz", **arrays)
    splits = Arrays(Path("mine.npz")).load(0.25)
    assert {part: len(labels) for part, (_, labels) in splits.items()} == {
        "train": 24, "val": 7, "test": 9,
    }  # fmt: skip
    assert splits["test"][1].bincount().tolist() == [3, 3, 3]
    found = [small_data.rows(split) for split in splits.values()]
    assert set.union(*found) == small_data.written(TRAIN)


def test_validation_part_as_medmnist_has_it() -> None:
    val = small_data.digits(10, 3, skip=70)
    arrays: Any = {"val_images": val[0], "val_labels": val[1][:, None]}
    for part, (images, labels) in (("train", TRAIN), ("test", TEST)):
        arrays |= {f"{part}_images": as_colour(images), f"{part}_labels": labels[:, None]}
    np.savez("mine.npz", **arrays)
    splits = Arrays(Path("mine.npz")).load(0.5)
    assert small_data.rows(splits["val"]) == small_data.written(val)
    assert len(splits["train"][1]) == 40


def test_colours_become_the_grey_of_pictures() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 3), np.uint8)
    np.savez("mine.npz", x=colours, y=TEST[1])
    with np.load("mine.npz"):
        found = unlabelled(Path("mine.npz"), Options())
    expected = np.stack([np.asarray(Image.fromarray(c).convert("L")) for c in colours])
    assert np.abs(found.astype(int) - expected).max() <= 1


BITS = (TRAIN[0] > 127, TRAIN[1])


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_zeros_and_ones_are_black_and_white(kind: Any) -> None:
    np.savez("mine.npz", x=BITS[0].astype(kind), y=BITS[1])
    assert np.array_equal(unlabelled(Path("mine.npz"), Options()), BITS[0] * 255)


@pytest.mark.parametrize(
    "change, ranges",
    [
        (lambda x: x * 2 - 1, [(-1, 1)]),
        (lambda x: (x - 0.1307) / 0.3081, [(-0.42421, 2.82149), (-0.4242, 2.8215)]),
        (lambda x: x - 0.5, [(-1, 1), (-0.5, 0.5)]),
        (lambda x: x * 16, [(0, 16), (0, 255)]),
        (lambda x: x * 1000, [(0, 1000)]),
    ],
)
def test_other_scales_are_refused_with_what_to_say(change: Any, ranges: Any) -> None:
    np.savez("mine.npz", x=change(TRAIN[0] / 255), y=TRAIN[1])
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"))
    given = [part for part in parts(caught.value.remedy) if isinstance(part, Argument)]
    assert {part.name for part in given} == {"value_range"}
    found = {tuple(yaml.safe_load(part.value)) for part in given}
    assert all(any(one == pytest.approx(each, abs=1e-4) for one in found) for each in ranges)
    low, high = (float(change(np.array(x))) for x in (0.0, 1.0))
    options = Options(value_range=[low, high])
    splits = Arrays(Path("mine.npz"), options=options).load(0)
    everything = small_data.rows(splits["train"]) | small_data.rows(splits["test"])
    assert everything == small_data.written(TRAIN)


def test_numbers_beyond_the_given_range() -> None:
    np.savez("mine.npz", x=TRAIN[0], y=TRAIN[1])
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"), options=Options(value_range=[0, 100]))
    assert Argument("value_range", "[0, 255]") in parts(caught.value.remedy)


def test_parts_on_two_scales() -> None:
    unit: Any = TRAIN[0] / 255
    small_data.write_npz(Path("mine.npz"), (unit, TRAIN[1]), TEST)
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"))
    assert caught.value.problem == "has images for train from 0 to 1, test from 0 to 255"


def test_images_on_their_sides() -> None:
    turned = TRAIN[0].swapaxes(1, 2), TRAIN[1]
    small_data.write_npz(Path("mine.npz"), turned, (TEST[0].swapaxes(1, 2), TEST[1]))
    found = Arrays(Path("mine.npz"), options=Options(transposed=True))
    assert np.array_equal(found.load(0)["train"][0][:, 0], TRAIN[0])


def test_classes_of_two_names() -> None:
    names = np.array(["digit 0", "digit 1", "digit 2"])
    small_data.write_npz(
        Path("mine.npz"), (TRAIN[0], TRAIN[1].astype(str)), (TEST[0], names[TEST[1]])
    )
    with pytest.raises(InputError) as caught:
        Arrays(Path("mine.npz"))
    assert "'0' for training and 'digit 0' for test" in str(caught.value.problem)


def images(change: Any) -> dict[str, Any]:
    return {"x_train": change(TRAIN[0])}


def labels(change: Any) -> dict[str, Any]:
    return {"y_test": change(TEST[1])}


@pytest.mark.parametrize(
    "wrong, problem",
    [
        (images(lambda x: x[:0]), "has x_train as uint8 of shape (0, 28, 28)"),
        (images(lambda x: x.reshape(20, -1)), "has x_train as uint8 of shape (20, 1568)"),
        (images(lambda x: x[0]), "has x_train as uint8 of shape (28, 28)"),
        (images(lambda x: x[1:]), "has y_train as int64 of shape (40,)"),
        (images(lambda x: x.astype(float) * 2), "from 0 to 510"),
        (images(lambda x: x.astype(str)), "has x_train as <U3"),
        (images(lambda x: x.astype(int) - 1), "from -1 to 254"),
        (images(lambda x: x / np.nan), "from nan to nan"),
        (labels(lambda y: y[:-1]), "has y_test as int64 of shape (19,)"),
        (labels(lambda y: y + 0.5), "has y_test as float64 of shape (20,), not all of them whole"),
        (labels(lambda y: y * np.nan), "has y_test as float64 of shape (20,), from nan"),
        (labels(lambda y: np.eye(3)[y] + np.eye(3)[0]), "(20, 3), not one-hot"),
        (labels(lambda y: y - 1), "has y_test as int64"),
        (labels(lambda y: y + 40_000), "has y_test as int64 of shape (20,), from 40000"),
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
    for size in (None, 32):
        found = Arrays(Path("mine.npz"), "mnist", image_size=size)
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
    assert Arrays(Path("mine.npz"), image_size=20).load(0)["train"][0].shape == (
        40,
        1,
        20,
        20,
    )


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
    assert problem_and_remedy()[0] == "has x_train without labels"
    np.savez("mine.npz", y_train=TRAIN[1], photos=TRAIN[0])
    found = "has no array of images by its name, but y_train (40,), photos (40, 28, 28)"
    assert problem_and_remedy()[0] == found
    np.savez("mine.npz", x_test=TEST[0], y_test=TEST[1], class_names=np.array(list("abc")))
    found = "has no training images, only x_test, y_test, class_names"
    assert problem_and_remedy()[0] == found
    np.savez("mine.npz", x_train=TRAIN[0], y_train=TRAIN[1], train_images=TRAIN[0])
    assert problem_and_remedy()[0] == "has both x_train and train_images"
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

    np.savez("mine.npz", x_train=np.array([Canary()], dtype=object), y_train=np.zeros(1))
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


def test_one_value_that_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "BLOCK", 784 * 8)  # in one of several blocks
    images = TRAIN[0] / 255
    images[20, 3, 3] = np.nan
    np.savez("mine.npz", x=images, y=TRAIN[1])
    assert "from nan to nan" in problem_and_remedy()[0]
