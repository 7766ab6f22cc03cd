"""Folders of pictures: what is a class, what is set apart, what is warned of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_data
from helpers import parts
from mnist_lit.data.folder import Folder
from mnist_lit.errors import Argument, InputError
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.pictures.decoding import KINDS
from small_data import rows, written

NAMES = [f"class {n}" for n in range(30)]


def loaded(path: str = "mine", val_split: float = 0, **options: Any) -> dict[str, Any]:
    found = Folder(Path(path), **options)
    found.prepare()
    return found.load(val_split)


def test_train_and_test(caplog: pytest.LogCaptureFixture) -> None:
    train, test = small_data.digits(60, 3), small_data.digits(30, 3, skip=60)
    small_data.write_folder(Path("mine/train"), train, NAMES)
    small_data.write_folder(Path("mine/test"), test, NAMES)
    found = Folder(Path("mine"))
    found.prepare()
    assert (found.name, found.class_names, found.preprocessing) == ("mine", NAMES[:3], "plain")
    splits = found.load(0)
    # In the order of the pictures' names, whatever their class: here that in which they were made.
    for part, (images, labels) in (("train", train), ("test", test)):
        assert np.array_equal(splits[part][0][:, 0], images)
        assert splits[part][1].tolist() == labels.tolist()
    assert not caplog.messages


@pytest.mark.parametrize("train, test", [("Training", "testing"), ("TRAIN", "Test")])
def test_other_names_of_splits(train: str, test: str) -> None:
    small_data.write_folder(Path("mine") / train, small_data.digits(20, 2), NAMES)
    small_data.write_folder(Path("mine") / test, small_data.digits(10, 2, skip=20), NAMES)
    splits = loaded()
    assert (len(splits["train"][1]), len(splits["test"][1])) == (20, 10)


def test_validation_pictures_of_their_own() -> None:
    for i, part in enumerate(("train", "val", "test")):
        pictures = small_data.digits(20, 2, skip=20 * i)
        small_data.write_folder(Path("mine") / part, pictures, NAMES)
    assert {name: len(labels) for name, (_, labels) in loaded(val_split=0.5).items()} == {
        "train": 20, "val": 20, "test": 20,
    }  # fmt: skip
    assert "val" not in loaded(val_split=0)


def test_classes_alone_are_split_by_class_and_always_alike() -> None:
    everything = small_data.digits(103, 3)  # 35, 34 and 34
    small_data.write_folder(Path("mine"), everything, NAMES)
    splits = loaded(val_split=0.25)
    counts = {name: labels.bincount().tolist() for name, (_, labels) in splits.items()}
    assert counts == {"train": [21, 20, 20], "val": [7, 7, 7], "test": [7, 7, 7]}
    found = [rows(split) for split in splits.values()]
    assert set.union(*found) == written(everything)
    assert sum(map(len, found)) == 103
    again = loaded(val_split=0.25)
    assert [rows(split) for split in again.values()] == found
    # The test pictures are the same ones, whatever else is asked for.
    assert rows(loaded(val_split=0)["test"]) == rows(splits["test"])


def test_small_classes_keep_a_picture_to_train_on() -> None:
    images, _ = small_data.digits(6, 2)
    labels = np.array([0, 0, 0, 1, 1, 2])
    small_data.write_folder(Path("mine"), (images, labels), NAMES)
    splits = loaded(val_split=0.5)
    counts = {name: s[1].bincount(minlength=3).tolist() for name, s in splits.items()}
    assert counts == {"train": [1, 1, 1], "val": [1, 0, 0], "test": [1, 1, 0]}


@pytest.mark.parametrize("side", [28, 64])
@pytest.mark.parametrize("preprocessing", pictures.PREPROCESSING)
def test_any_size_and_colour_becomes_what_predict_sees(preprocessing: str, side: int) -> None:
    images, labels = small_data.digits(8, 2)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        large = Image.fromarray(255 - image).convert("RGB").resize((90 + i, 120))
        path = Path(f"mine/{label}/{i}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        large.save(path)
    found = Folder(Path("mine"), preprocessing, image_size=side)
    found.prepare()
    seen = {
        pictures.read(path, preprocessing, side).image.tobytes()
        for path in Path("mine").rglob("*.jpg")
    }
    splits = found.load(0)
    assert splits["train"][0].shape[1:] == (1, side, side) and found.image_size == side
    assert {image for split in splits.values() for image, _ in rows(split)} == seen
    assert len(seen) == 8


def test_link_that_leads_nowhere_is_a_picture_that_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("mine/class 0/lost.png").symlink_to("nowhere.png")
    loaded()
    (message,) = caplog.messages
    assert "1 of 21 pictures cannot be read and are left out: class 0/lost.png" in message


def test_unreadable_pictures_are_listed_counted_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(30, 2), NAMES)
    whole = Path("mine/class 0/00000.png").read_bytes()
    broken = {
        "class 0/00000.png": whole[: len(whole) // 2],
        "class 1/00001.png": b"",
    }
    for name, content in broken.items():
        (Path("mine") / name).write_bytes(content)
    for _ in range(2):  # the second time they are known without being read
        caplog.clear()
        splits = loaded()
        assert sum(len(labels) for _, labels in splits.values()) == 28
        (message,) = caplog.messages
        assert message.startswith("mine: 2 of 30 pictures cannot be read and are left out:")
        assert all(name in message for name in broken)
    with pytest.raises(InputError) as caught:
        loaded(strict=True)
    assert caught.value.subject == Path("mine")
    assert all(name in str(caught.value.problem) for name in broken)
    assert Argument("strict", True) in parts(caught.value.remedy)
    # Once fixed, it counts again.
    Path("mine/class 0/00000.png").write_bytes(whole)
    assert sum(len(labels) for _, labels in loaded().values()) == 29


def test_unreadable_pictures_by_name() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("mine/class 0/00000.png").write_bytes(b"x")
    found = Folder(Path("mine"))
    found.prepare()
    assert found.unreadable == {"class 0/00000.png": f"is not a whole {KINDS} picture"}


def test_odd_data_sets_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    images, _ = small_data.digits(40, 2)
    images[4] = 255
    Path("mine/train/nothing").mkdir(parents=True)
    labels = np.array([0] * 30 + [1] * 8 + [2, 3])
    small_data.write_folder(Path("mine/train"), (images[:39], labels[:39]), NAMES)
    small_data.write_folder(Path("mine/test"), (images[:10], labels[:10]), NAMES)
    small_data.write_folder(Path("mine/test"), (images[39:], labels[39:]), NAMES)
    found = Folder(Path("mine"))
    found.prepare()
    assert found.odd == [
        "folders without a picture are not classes: train/nothing",
        "blank: test/class 0/00004.png, train/class 0/00004.png",
        "no training image of class 3",
        "no test image of class 1, class 2",
        "only one training image of class 2",
        "classes are unbalanced: 0 training images of class 3, 30 of class 0",
        "10 test images are also among the training images",
    ]
    assert caplog.messages == [f"mine: {line}" for line in found.odd]
    found.prepare()  # each of Lightning's stages calls it; one warning is enough
    assert len(caplog.messages) == len(found.odd)


def test_names_cannot_move_the_cursor(caplog: pytest.LogCaptureFixture) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("mine/\x1b[2J\n.png").write_bytes(b"")
    loaded()
    (message,) = caplog.messages
    assert "\\x1b[2J\\n.png" in message and message.isprintable()


def test_what_is_in_no_class_is_named(caplog: pytest.LogCaptureFixture) -> None:
    small_data.write_folder(Path("mine/train"), small_data.digits(20, 2), NAMES)
    small_data.write_folder(Path("mine/test"), small_data.digits(10, 2, skip=20), NAMES)
    Path("mine/loose.png").write_bytes(b"")
    splits = loaded()
    assert {name: len(labels) for name, (_, labels) in splits.items()} == {"train": 20, "test": 10}
    assert caplog.messages == ["mine: left out, because in no class's folder: loose.png"]


def test_nothing_readable() -> None:
    for name in "ab":
        Path(f"mine/{name}").mkdir(parents=True)
        Path(f"mine/{name}/x.png").write_bytes(b"<html>")
    with pytest.raises(InputError) as caught:
        loaded()
    assert str(caught.value.problem).startswith("has 2 pictures of 2 that cannot be read (a/x.png")


def test_fingerprint_changes_with_the_files() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    before = Folder(Path("mine")).fingerprint
    assert Folder(Path("mine"), "mnist", image_size=64).fingerprint == before
    Path("mine/class 0/00000.png").unlink()
    assert Folder(Path("mine")).fingerprint != before


def test_train_alone() -> None:
    """A fifth is set apart for test, as where folders are the classes."""
    everything = small_data.digits(103, 3)
    small_data.write_folder(Path("classes"), everything, NAMES)
    small_data.write_folder(Path("mine/train"), everything, NAMES)
    of_classes, of_train = loaded("classes", 0.25), loaded("mine", 0.25)
    assert {part: rows(split) for part, split in of_train.items()} == {
        part: rows(split) for part, split in of_classes.items()
    }
    val = small_data.digits(20, 3, skip=103)
    small_data.write_folder(Path("mine/valid"), val, NAMES)
    splits = loaded("mine", 0.25)
    assert rows(splits["val"]) == written(val)
    assert rows(splits["test"]) == rows(of_classes["test"])


@pytest.mark.parametrize("suffix", ["gif", "pgm", "ppm"])
def test_other_kinds_of_pictures(suffix: str) -> None:
    images, labels = small_data.digits(20, 2)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = Path(f"mine/{label}/{i}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        if suffix == "gif":  # the first frame counts
            other = Image.new("L", (28, 28), 200)
            picture.save(path, save_all=True, append_images=[other], optimize=False)
        else:
            (picture.convert("RGB") if suffix == "ppm" else picture).save(path)
    splits = loaded()
    assert rows(splits["train"]) | rows(splits["test"]) == written((images, labels))


def test_labels_in_a_file() -> None:
    images, labels = small_data.digits(30, 2)
    Path("mine").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(f"mine/{i}.png")
    lines = [f"{i}.png,{'ab'[label]}\n" for i, label in enumerate(labels)]
    Path("mine/labels.csv").write_text("file,label\n" + "".join(lines))
    found = Folder(Path("mine"))
    assert found.class_names == ["a", "b"]
    splits = found.load(0)
    assert rows(splits["train"]) | rows(splits["test"]) == written((images, labels))
    lines[0] = "0.png,b\n"
    Path("mine/labels.csv").write_text("file,label\n" + "".join(lines))
    assert Folder(Path("mine")).fingerprint != found.fingerprint


@pytest.mark.parametrize("of_test", [["digit 0", "digit 1"], ["0", "digit 1"], ["x", "y"]])
def test_classes_of_two_names(of_test: list[str]) -> None:
    small_data.write_folder(Path("mine/train"), small_data.digits(20, 2), ["0", "1"])
    small_data.write_folder(Path("mine/test"), small_data.digits(20, 2, skip=20), of_test)
    with pytest.raises(InputError) as caught:
        Folder(Path("mine"))
    assert "names its classes in two ways" in str(caught.value.problem)
    assert repr(of_test[1]) in str(caught.value.problem) or of_test[0] in str(caught.value.problem)


def test_a_class_without_training_pictures_is_only_odd() -> None:
    small_data.write_folder(Path("mine/train"), small_data.digits(20, 2), ["a", "b"])
    small_data.write_folder(Path("mine/test"), small_data.digits(21, 3, skip=20), ["a", "b", "c"])
    found = Folder(Path("mine"))
    found.prepare()
    assert "no training image of c" in found.odd


def test_what_the_project_writes_is_no_data(caplog: pytest.LogCaptureFixture) -> None:
    """Runs and converted pictures lie in the folder of a user who works in it."""
    small_data.write_folder(Path(), small_data.digits(20, 2), NAMES)
    before = loaded(".")
    Path("runs/mine/version_0/figures").mkdir(parents=True)
    Path("runs/mine/version_0/config.yaml").touch()
    Image.new("L", (28, 28)).save("runs/mine/version_0/figures/curves.png")
    assert list(Path(".cache/mnist-lit/pictures").glob("*.npz"))
    found = Folder(Path())
    found.prepare()
    assert found.class_names == NAMES[:2] and not caplog.messages
    assert all(np.array_equal(found.load(0)[part][0], before[part][0]) for part in before)
