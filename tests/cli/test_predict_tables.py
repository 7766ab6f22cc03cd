"""`predict` on tables and array files, and the competition's submission."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import small_data
from helpers import SHORT, Command
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.network import inference
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.prediction import predict

TRAIN, TEST = small_data.digits(60, 10), small_data.digits(20, 10, skip=60)


@pytest.fixture
def tables() -> None:
    small_data.write_kaggle(TRAIN, TEST)


@pytest.mark.usefixtures("tables")
def test_kaggles_digit_recogniser(command: Command) -> None:
    """From its two files to a submission in the layout of its own sample_submission.csv."""
    fit = command("fit", "--data.dataset", "train.csv", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (fit.code, fit.err) == (0, "")
    assert "test.csv has no labels, so it is for `python -m mnist_lit predict`" in fit.out
    assert command("test").code == 0
    answer = command("predict", "test.csv", "--submission", "submission.csv")
    assert answer.code == 0 and answer.out.splitlines()[-1] == "20 answers: submission.csv"
    assert "test.csv row 1" not in answer.out
    checkpoint = checkpoints.read("runs/train/version_0/checkpoints/best.ckpt")
    images = np.ascontiguousarray(TEST[0][:, None])

    found = inference.probabilities(checkpoint.build(), torch.from_numpy(images)).argmax(1)
    lines = [f"{n},{label}" for n, label in enumerate(found.tolist(), 1)]
    written = Path("submission.csv").read_bytes().decode()
    assert written == "\n".join(["ImageId,Label", *lines]) + "\n"


@pytest.mark.usefixtures("tables")
def test_a_row_an_image(command: Command) -> None:
    np.savez("test.npz", x=TEST[0])
    np.savez("all.npz", x_train=TRAIN[0], y_train=TRAIN[1], x_test=TEST[0], y_test=TEST[1])
    tables = {}
    for file in ("test.csv", "test.npz", "all.npz"):
        answer = command("predict", file, "--output", "t.json")
        assert answer.code == 0
        rows = json.loads(Path("t.json").read_text())
        assert [row.pop("file") for row in rows] == [f"{file} row {n}" for n in range(1, 21)]
        tables[file] = rows
        assert [row.label for row in predict(file)] == [row["label"] for row in rows]
    assert tables["test.csv"] == tables["test.npz"] == tables["all.npz"]
    assert command("predict", "train.csv").out.count("train.csv row ") == 60


def test_other_sizes_are_prepared(command: Command) -> None:
    images = np.pad(TEST[0], ((0, 0), (10, 20), (5, 25)))
    np.savez("large.npz", x=images)
    assert command("predict", "large.npz", "--output", "t.json").code == 0
    checkpoint = checkpoints.read(checkpoints.PRETRAINED)

    seen = [pictures.prepare(image.astype(np.float32), "mnist", 28).image for image in images]
    found = inference.probabilities(checkpoint.build(), torch.from_numpy(np.stack(seen))[:, None])
    rows = json.loads(Path("t.json").read_text())
    assert [int(row["label"]) for row in rows] == found.argmax(1).tolist()


def test_numbers_are_read_as_in_training(command: Command) -> None:
    options = ("--data.value_range", "[-1, 1]", "--data.transposed", "true")
    turned = [part[0].swapaxes(1, 2) / 127.5 - 1 for part in (TRAIN, TEST)]
    np.savez("mine.npz", x=turned[0], y=TRAIN[1])
    np.savez("new.npz", x=turned[1])
    np.savez("plain.npz", x=TEST[0])
    answer = command("predict", "new.npz")
    assert answer.code == 2 and "--data.value_range '[-1, 1]'" in answer.err
    given = command("predict", "new.npz", *options, "--output", "given.json")
    plain = command("predict", "plain.npz", "--output", "plain.json")
    assert given.code == plain.code == 0
    assert given.out.replace("new.npz", "").split() == plain.out.replace("plain.npz", "").split()
    fit = ("fit", "--data.dataset", "mine.npz", *options, *SHORT[2:], "--trainer.max_epochs", 1)
    assert command(*fit).code == 0
    trained = command("predict", "new.npz")
    plain = command("predict", "plain.npz", "--data.value_range", "[0, 255]", "--data.transposed",
                    "false")  # fmt: skip
    assert trained.code == plain.code == 0
    assert trained.out.replace("new.npz", "").split() == plain.out.replace("plain.npz", "").split()


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    "args, said",
    [
        (("none.csv",), "none.csv is not there"),
        (("test.csv", "--submission", "s.txt"), "--submission s.txt has the wrong ending"),
        (("test.csv", "test.csv", "--submission", "s.csv"), "--submission needs one table"),
        (("--test-image", 3, "--submission", "s.csv"), "--submission needs one table"),
        (("test.csv", "--data.value_range", "3"), "'3' is not [LOW, HIGH]"),
        (("test.csv", "--data.value_range", "[1, 0]"), "--data.value_range '[1.0, 0.0]' is no"),
        (("test.csv", "--data.transposed", "maybe"), "--data.transposed: invalid choice: 'maybe'"),
        (("bad.csv", "--submission", "s.csv"), "bad.csv has 3 columns"),
        (("bad.npz", "--submission", "s.csv"), "bad.npz is not a whole .npz file"),
        (("labels.npz",), "labels.npz has no array of images by its name, but y (60,)"),
    ],
)
def test_what_cannot_be_read(command: Command, args: tuple[object, ...], said: str) -> None:
    Path("bad.csv").write_text("1,2,3\n")
    Path("bad.npz").write_text("1,2,3\n")
    np.savez("labels.npz", y=TRAIN[1])
    answer = command("predict", *args)
    assert answer.code == 2 and said in answer.err and answer.err.count("\n") == 1
    assert not Path("s.csv").exists()
