"""Folders of pictures: what is a class, what is a picture, what is kept, what is said."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import small_data
from helpers import SHORT, Command
from mnist_lit.data import conversion
from mnist_lit.data.folder import Folder
from mnist_lit.errors import InputError, RunError
from mnist_lit.pictures import preprocessing as pictures

NAMES = [f"class {n}" for n in range(30)]


def loaded(path: str = "mine", val_split: float = 0, **options: Any) -> dict[str, Any]:
    found = Folder(Path(path), "data", **options)
    found.prepare()
    return found.load(val_split)


def rows(split: tuple[Tensor, Tensor]) -> set[tuple[bytes, int]]:
    images, labels = split
    return written((images[:, 0].numpy(), labels.numpy()))


def written(part: small_data.Part) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(*part, strict=True)}


def test_train_and_test(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = small_data.digits(60, 3), small_data.digits(30, 3, skip=60)
    small_data.write_folder(Path("mine/train"), train, NAMES)
    small_data.write_folder(Path("mine/test"), test, NAMES)
    found = Folder(Path("mine"), "data")
    found.prepare()
    assert (found.name, found.class_names, found.preprocessing) == ("mine", NAMES[:3], "plain")
    splits = found.load(0)
    # In the order of the pictures' names, whatever their class: here that in which they were made.
    for part, (images, labels) in (("train", train), ("test", test)):
        assert np.array_equal(splits[part][0][:, 0], images)
        assert splits[part][1].tolist() == labels.tolist()
    assert capsys.readouterr().err == ""


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


def test_order_of_classes_and_pictures_counts_as_people_do() -> None:
    images, _ = small_data.digits(12, 2)
    for i, image in enumerate(images):
        Path(f"mine/{i}").mkdir(parents=True)
        Image.fromarray(image).save(f"mine/{i}/{11 - i}.png")
    found = Folder(Path("mine"), "data")
    assert found.class_names == [str(i) for i in range(12)]
    assert [file.label for file in found.files] == list(range(11, -1, -1))


def test_what_is_no_picture_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    everything = small_data.digits(20, 2)
    small_data.write_folder(Path("mine"), everything, NAMES)
    Path("mine/.hidden").mkdir()
    Path("mine/__MACOSX/class 0").mkdir(parents=True)
    for name in (".DS_Store", "Thumbs.db", ".hidden/a.png", "class 0/.DS_Store", "class 0/._0.png",
                 "class 0/notes.txt", "__MACOSX/class 0/a.png", "read me.txt"):  # fmt: skip
        (Path("mine") / name).write_bytes(b"no picture")
    Path("mine/class 1/writer 7/monday").mkdir(parents=True)
    Path("mine/class 1/00001.png").rename("mine/class 1/writer 7/monday/00001.png")
    splits = loaded()
    assert rows(splits["train"]) | rows(splits["test"]) == written(everything)
    assert capsys.readouterr().err == ""


def test_link_that_leads_nowhere_is_a_picture_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("mine/class 0/lost.png").symlink_to("nowhere.png")
    loaded()
    assert "1 of 21 pictures cannot be read and are left out: class 0/lost.png" in (
        capsys.readouterr().err
    )


def test_link_to_a_folder_of_its_own_ends() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("mine/class 0/loop").symlink_to(Path("mine").absolute())
    assert len(Folder(Path("mine"), "data").files) == 20


def test_unicode_names_are_one_in_every_spelling() -> None:
    train, test = small_data.digits(20, 2), small_data.digits(10, 2, skip=20)
    small_data.write_folder(Path("日本/train"), train, ["e\u0301", "あ"])  # as macOS writes é
    small_data.write_folder(Path("日本/test"), test, ["\u00e9", "あ"])
    found = Folder(Path("日本"), "data")
    assert found.name == "日本" and found.class_names == ["\u00e9", "あ"]
    found.prepare()
    splits = found.load(0)
    assert (len(splits["train"][1]), len(splits["test"][1])) == (20, 10)


@pytest.mark.parametrize("recipe", pictures.PREPROCESSING)
def test_any_size_and_colour_becomes_what_predict_sees(recipe: str) -> None:
    images, labels = small_data.digits(8, 2)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        large = Image.fromarray(255 - image).convert("RGB").resize((90 + i, 120))
        path = Path(f"mine/{label}/{i}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        large.save(path)
    found = Folder(Path("mine"), "data", recipe)
    found.prepare()
    seen = {pictures.read(path, recipe).image.tobytes() for path in Path("mine").rglob("*.jpg")}
    splits = found.load(0)
    assert {image for split in splits.values() for image, _ in rows(split)} == seen
    assert len(seen) == 8


def test_unreadable_pictures_are_listed_counted_and_left_out(
    capsys: pytest.CaptureFixture[str],
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
        splits = loaded()
        assert sum(len(labels) for _, labels in splits.values()) == 28
        err = capsys.readouterr().err
        assert err.startswith("warning: mine: 2 of 30 pictures cannot be read and are left out:")
        assert all(name in err for name in broken) and err.count("\n") == 1
    with pytest.raises(InputError, match=r"2 of 30 pictures in mine cannot be read: .*00000\.png"):
        loaded(strict=True)
    # Mended, it counts again.
    Path("mine/class 0/00000.png").write_bytes(whole)
    assert sum(len(labels) for _, labels in loaded().values()) == 29


def test_odd_data_sets_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    images, _ = small_data.digits(40, 2)
    images[4] = 255
    Path("mine/train/nothing").mkdir(parents=True)
    labels = np.array([0] * 30 + [1] * 8 + [2, 3])
    small_data.write_folder(Path("mine/train"), (images[:39], labels[:39]), NAMES)
    small_data.write_folder(Path("mine/test"), (images[:10], labels[:10]), NAMES)
    small_data.write_folder(Path("mine/test"), (images[39:], labels[39:]), NAMES)
    loaded()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "warning: mine: folders without a picture are no classes: train/nothing",
        "warning: mine: blank: test/class 0/00004.png, train/class 0/00004.png",
        "warning: mine: no training image of class 3",
        "warning: mine: no test image of class 1, class 2",
        "warning: mine: one training image alone of class 2",
        "warning: mine: classes are unbalanced: 0 training images of class 3, 30 of class 0",
        "warning: mine: 10 test images are among the training images too",
    ]


def test_what_is_in_no_class_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    small_data.write_folder(Path("mine/train"), small_data.digits(20, 2), NAMES)
    small_data.write_folder(Path("mine/test"), small_data.digits(10, 2, skip=20), NAMES)
    small_data.write_folder(Path("mine/more"), small_data.digits(10, 2, skip=30), NAMES)
    for path in ("mine/loose.png", "mine/train/lost.jpg", "mine/notes.txt"):
        Path(path).write_bytes(b"")
    splits = loaded()
    assert {name: len(labels) for name, (_, labels) in splits.items()} == {"train": 20, "test": 10}
    said = capsys.readouterr().err
    assert said.startswith("warning: mine: left out, being in no class's folder: ")
    assert set(said.rsplit(": ", 1)[1].strip().split(", ")) == {
        "loose.png", "more", "train/lost.jpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "no class"),
        (["a.png"], "no class"),
        (["one/a.png"], "one class"),
        (["one/a.png", "two/a.txt"], "one class"),
        (["train/one/a.png", "train/two/a.png"], "add mine/test, or name mine/train"),
        (["train/one/a.png", "val/one/a.png"], "add mine/test"),
    ],
)
def test_no_data_set(names: list[str], words: str) -> None:
    Path("mine").mkdir()
    for name in names:
        path = Path("mine") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(words)):
        Folder(Path("mine"), "data")


def test_nothing_readable() -> None:
    for name in "ab":
        Path(f"mine/{name}").mkdir(parents=True)
        Path(f"mine/{name}/x.png").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"2 of 2 pictures in mine cannot be read: .*x\.png"):
        loaded()


# What is kept of the conversion.


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that were converted, in this process."""
    done: list[Path] = []
    read = pictures.read

    def remembered(path: Path, recipe: str) -> pictures.Picture:
        done.append(path)
        return read(path, recipe)

    monkeypatch.setattr(pictures, "read", remembered)
    return done


def test_each_picture_is_converted_once(conversions: list[Path]) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(30, 2), NAMES)
    first = loaded()
    assert len(conversions) == 30
    again = loaded()
    assert len(conversions) == 30
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)
    Image.new("L", (28, 28), 7).save("mine/class 0/00000.png")
    small_data.write_folder(Path("mine/class 1"), small_data.digits(2, 1, skip=40), ["more"])
    changed = loaded()
    assert len(conversions) == 30 + 3
    everything = rows(changed["train"]) | rows(changed["test"])
    assert len(everything) == 32 and (bytes([7]) * 784, 0) in everything
    loaded(preprocessing="mnist")
    assert len(conversions) == 33 + 32


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: c[:500] + b"xxxx" + c[504:]],
    ids=["cut", "empty", "changed"],
)
def test_damaged_store_is_made_anew(conversions: list[Path], damage: Any) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    (store,) = Path("data/pictures").glob("*.npz")
    store.write_bytes(damage(store.read_bytes()))
    again = loaded()
    assert len(conversions) == 40
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)


def test_store_of_another_shape_is_made_anew(conversions: list[Path]) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    loaded()
    (store,) = Path("data/pictures").glob("*.npz")
    with np.load(store) as archive:
        index = archive["index"]
    np.savez(store, images=np.zeros((3, 28, 28), np.uint8), index=index)
    loaded()
    assert len(conversions) == 40


def test_complete_store_that_cannot_be_written() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    before = sorted(Path("data/pictures").iterdir())
    (store,) = Path("data/pictures").glob("*.npz")
    age = store.stat().st_mtime_ns
    for path in before:
        if path.suffix == ".lock":
            path.unlink()
    assert rows(loaded()["test"]) == rows(first["test"])
    assert list(Path("data/pictures").iterdir()) == [store] and store.stat().st_mtime_ns == age


def test_nowhere_to_keep_them() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    Path("data").write_bytes(b"")
    with pytest.raises(RunError, match=r"cannot write to data/pictures .*--data\.data_dir"):
        loaded()


def test_many_are_converted_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = small_data.digits(300, 3)
    small_data.write_folder(Path("mine"), everything, NAMES)
    Path("mine/class 0/00000.png").write_bytes(b"broken")
    monkeypatch.setattr(pictures, "read", _by_a_worker(os.getpid()))
    found = Folder(Path("mine"), "data")
    found.prepare()
    kept = set.union(*(rows(split) for split in found.load(0).values()))
    assert kept == written((everything[0][1:], everything[1][1:]))
    assert list(found.unreadable) == ["class 0/00000.png"]


def _by_a_worker(parent: int) -> Any:
    read = pictures.read

    def elsewhere(path: Path, recipe: str) -> pictures.Picture:
        assert os.getpid() != parent
        return read(path, recipe)

    return elsewhere


SLOW = """
import sys, time
from pathlib import Path
from mnist_lit import cli
from mnist_lit.pictures import preprocessing as pictures
read = pictures.read
def slow(path, recipe):
    time.sleep(0.005)
    Path("done", path.name).touch()
    return read(path, recipe)
pictures.read = slow
sys.exit(cli.main(["samples", "--data.dataset", "mine", "--output", "x.png"]))
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_conversion_keeps_what_is_done(
    signum: signal.Signals, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(2000, 5), NAMES)
    done = Path("done")
    done.mkdir()
    # A group of its own, so that Ctrl-C reaches the converting processes as in a terminal.
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 60
    while sum(1 for _ in done.iterdir()) < 500 and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(child.pid, signum) if signum == signal.SIGINT else child.send_signal(signum)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + signum
    assert err.count("\n") == 1 and f"stopped by {signum.name}" in err
    with pytest.raises(ProcessLookupError):  # none is left behind
        os.killpg(child.pid, 0)
    monkeypatch.setattr(conversion, "FEW", 10**6)  # in this process, where they are counted
    loaded()
    assert 0 < len(conversions) < 2000


# Through the commands.


def test_a_run_on_a_folder(command: Command) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(100, 2), ["うさぎ", "<b>ねこ"])
    answer = command("fit", "--data.dataset", "mine", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "")
    assert Path("runs/mine/version_0/summary.json").is_file()
    assert "dataset     mine" in command("test").out
    picture = next(Path("mine/うさぎ").iterdir())
    assert "うさぎ" in command("predict", picture).out
    # Moved, it is asked for, and found again where the user says.
    Path("mine").rename("elsewhere")
    answer = command("test")
    assert answer.code == 2 and "mine, which the network was trained on, is not there" in answer.err
    answer = command("test", "--data.dataset", "elsewhere")
    assert answer.code == 0 and "dataset     elsewhere" in answer.out


def test_names_that_are_no_text(command: Command) -> None:
    small_data.write_folder(Path("my.letters"), small_data.digits(40, 2), ["a", "b\udcff"])
    assert Folder(Path("my.letters"), "data").class_names == ["a", "b\ufffd"]
    answer = command("fit", "--data.dataset", "my.letters", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "") and Path("runs/my.letters").is_dir()
    answer = command("predict", next(Path("my.letters/a").iterdir()), "--output", "t.csv")
    assert (answer.code, answer.err) == (0, "")
    Path("my.letters").rename("my\udcff")
    answer = command("fit", "--data.dataset", "my\udcff")
    assert answer.code == 2 and "rename it" in answer.err


@pytest.mark.parametrize("classes", [2, 1000])
def test_few_and_many_classes(command: Command, classes: int) -> None:
    names = [f"字{i}" for i in range(classes)]
    n = max(classes, 40)
    small_data.write_folder(Path("mine/train"), small_data.digits(n, classes), names)
    test = small_data.digits(n, classes, skip=n)
    small_data.write_folder(Path("mine/test"), test, names)
    options = ("--data.val_split", 0, *SHORT[2:], "--trainer.max_epochs", 1)
    assert command("fit", "--data.dataset", "mine", *options).code == 0
    answer = command("test", "--ckpt_path", "last")
    assert answer.code == 0 and f"n           {n}" in answer.out


def test_folder_of_a_known_name_is_not_taken_for_it(command: Command) -> None:
    small_data.write_folder(Path("mnist"), small_data.digits(40, 10), list("0123456789"))
    found = command("fit", "--data.dataset", "./mnist", *SHORT[2:], "--trainer.max_epochs", 1)
    assert found.code == 0 and "mnist-folder" in found.out
    assert Path("runs/mnist/version_0").is_dir()
    assert "dataset     mnist-folder" in command("test").out


def test_folder_that_changes_after_the_training(command: Command) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(60, 2), NAMES)
    fit = ("fit", "--data.dataset", "mine", *SHORT[2:], "--trainer.max_epochs")
    assert command(*fit, 1).code == 0
    assert command("test").err == ""
    small_data.write_folder(Path("mine"), small_data.digits(90, 2), NAMES)
    answer = command("test")
    assert answer.code == 0 and "warning: mine has changed since" in answer.err
    answer = command("fit", "--ckpt_path", "last", "--trainer.max_epochs", 2)
    start = "start a new run by --data.dataset mine --weights runs/mine/"
    assert answer.code == 2 and start in answer.err
    answer = command("report")
    page = Path("runs/mine/version_0/report.html").read_text("utf-8")
    assert answer.code == 0 and "it has changed since" in page
    Path("mine/class 0/00088.png").unlink()
    answer = command(*fit, 1, "--weights", "runs/mine/version_0/checkpoints/last.ckpt")
    assert answer.code == 0 and "test pictures may be among those trained on" in answer.out


def test_no_such_data_set(command: Command) -> None:
    answer = command("fit", "--data.dataset", "fasion")
    assert answer.code == 2 and "did you mean fashion?" in answer.err
    answer = command("fit", "--data.dataset", "mine/letters")
    assert answer.code == 2 and "emnist-letters" in answer.err and answer.err.count("\n") == 1
