"""`predict`: its options, what it prints and what it writes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import small_data
from helpers import SHORT, Command
from mnist_lit import predict
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.published import Published
from mnist_lit.training.module import MNISTModule
from small_data import digit_files

COLUMNS = ["file", "label", "probability", "runner_up", "runner_up_probability", "note"]


@pytest.fixture
def digits() -> list[int]:
    """Files 0.png to 19.png of test digits of the sample; returns their labels."""
    return digit_files()


def test_table(command: Command, digits: list[int]) -> None:
    answer = command("predict", "0.png", "2.png", "4.png")
    assert (answer.code, answer.err) == (0, "")
    first, by, header, *rows = answer.out.splitlines()
    assert "no run in runs" in first and "come with the package" in first
    assert by == "by pretrained, trained on mnist"
    assert header.split() == COLUMNS
    assert [row.split()[:2] for row in rows] == [[f"{i}.png", str(digits[i])] for i in (0, 2, 4)]
    for row in rows:
        _, _, probability, _, other = row.split()[:5]
        assert 0.6 < float(probability) <= 1 and 0 <= float(other) < 0.4


def test_written_tables(command: Command, digits: list[int]) -> None:
    files = [f"{i}.png" for i in range(20)]
    for output in ("table.csv", "table.json"):
        assert command("predict", *files, "--output", output).code == 0
    rows = json.loads(Path("table.json").read_text())
    assert [list(row) for row in rows] == [COLUMNS] * 20
    assert rows == [row._asdict() for row in predict(files)]
    with Path("table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["file"] for row in table] == files and list(table[0]) == COLUMNS
    assert float(table[0]["probability"]) == rows[0]["probability"]


def test_folders_and_patterns(command: Command, digits: list[int]) -> None:
    Path("shots/inner").mkdir(parents=True)
    Path("0.png").rename("shots/b.png")
    Path("2.png").rename("shots/inner/a.PNG")
    Path("shots/.hidden.png").write_text("")
    Path("shots/notes.txt").write_text("")
    answer = command("predict", "shots", "1?.png", "--ckpt_path", "pretrained")
    assert answer.code == 0
    assert answer.err.startswith("shots: left out notes.txt (not PNG,")
    files = [line.split()[0] for line in answer.out.splitlines()[2:]]
    assert files == ["shots/b.png", "shots/inner/a.PNG", *(f"{i}.png" for i in range(10, 20))]
    Path("empty").mkdir()
    missing = "is not there and fits no file"
    for argument, what in (
        ("empty", "holds no picture"),
        ("*.gif", missing),
        ("a[1].png", missing),
    ):
        answer = command("predict", argument)
        assert answer.code == 2 and answer.err.startswith(f"error: {argument} {what}: give PNG")


def test_broken_file_is_named_and_the_others_predicted(command: Command, digits: list[int]) -> None:
    Path("4.png").write_bytes(Path("4.png").read_bytes()[:60])
    answer = command("predict", "2.png", "4.png", "none.png", "6.png", "--output", "table.json")
    assert answer.code == 2
    assert [line.split()[1] for line in answer.err.splitlines()] == ["4.png", "none.png"]
    assert all(line.startswith("error: ") for line in answer.err.splitlines())
    assert [row["file"] for row in json.loads(Path("table.json").read_text())] == ["2.png", "6.png"]


def test_what_is_no_digit_is_flagged(command: Command) -> None:
    Image.new("L", (50, 50), 255).save("blank.png")
    page = np.full((60, 60), 255, np.uint8)
    page[8:-8, 8:-8] = 0
    Image.fromarray(page).save("ink.png")
    answer = command("predict", "blank.png", "ink.png")
    blank, ink = answer.out.splitlines()[-2:]
    assert answer.code == 0 and "blank: no ink found" in blank and "almost all ink" in ink


def test_unsure(command: Command, digits: list[int]) -> None:
    """A network that has seen one batch is sure of nothing, and its answers say so."""
    command("fit", *SHORT, "--trainer.max_epochs", 1, "--trainer.limit_train_batches", 1)
    answer = command("predict", "0.png")
    assert answer.code == 0 and answer.out.splitlines()[-1].endswith("unsure")


@pytest.mark.usefixtures("trained")
def test_run_comes_first(command: Command, digits: list[int]) -> None:
    answer = command("predict", "0.png")
    by, *table = answer.out.splitlines()
    assert by == "by runs/mnist/version_0/checkpoints/best.ckpt, trained on mnist-sample-5k"
    other = command("predict", "0.png", "--ckpt_path", "last")
    by, *rest = other.out.splitlines()
    assert by.startswith("by runs/mnist/version_0/checkpoints/last.ckpt,") and rest == table
    assert command("predict", "0.png", "--runs", "runs").out == answer.out
    answer = command("predict", "0.png", "--runs", "elsewhere")
    assert answer.code == 0 and "there is no run in elsewhere" in answer.out
    assert command("predict", "0.png", "--ckpt_path", "none.ckpt").code == 2


@pytest.mark.usefixtures("trained")
def test_image_of_the_sample(command: Command) -> None:
    answer = command("predict", "--test-image", 0, "--show", "seen.png")
    assert answer.code == 0 and "labelled 0" in answer.out
    with Image.open("seen.png") as picture:
        assert picture.width > 100
    answer = command("predict", "--test-image", 1000)
    assert answer.code == 2 and "--test-image 1000 is not there" in answer.err
    assert "mnist-sample-5k has 0 to 999" in answer.err


@pytest.mark.mnist
def test_image_of_mnist(command: Command, mnist_dir: Path) -> None:
    """The notebook's prediction: the first image of the test set is a 7."""
    answer = command("predict", "--test-image", 0, "--data.data_dir", mnist_dir)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1].split()[3] == "7" and "labelled 7" in answer.out
    # A written image gives the very probabilities that the test set's own gives.
    images, _ = Published("mnist", str(mnist_dir)).read("test")
    Image.fromarray(images[0, 0].numpy()).save("seven.png")
    again = command("predict", "seven.png").out.splitlines()[-1].split()
    assert again[1:5] == answer.out.splitlines()[-1].split()[3:7]


def test_no_mnist_to_take_an_image_from(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    answer = command("predict", "--test-image", 0)
    assert answer.code == 1 and "train-images-idx3-ubyte" in answer.err


def test_show(command: Command, digits: list[int]) -> None:
    assert command("predict", *(f"{i}.png" for i in range(12)), "--show", "seen.png").code == 0
    with Image.open("seen.png") as image:
        picture = np.asarray(image.convert("L"))
    # Twelve dark tiles in two rows of ten.
    dark = picture < 40
    assert dark.mean() > 0.2


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("predict", "give pictures, or --test-image N"),
        ("predict a.png --test-image 0", "give pictures, or --test-image N"),
        ("predict a.png --output table.txt", "must be a file that ends in .csv or .json"),
        ("predict a.png --show table.jpg", "must be a file that ends in .png"),
        ("predict a.png --ckpt last", "unrecognized arguments: --ckpt"),
        ("predict --test-image x", "invalid int value"),
    ],
)
def test_wrong_options(command: Command, line: str, part: str) -> None:
    answer = command(*line.split())
    assert answer.code == 2 and part in answer.err and answer.err.count("\n") == 1


def test_strange_names(command: Command, digits: list[int]) -> None:
    """Escape sequences and bytes that are no text neither reach the terminal nor end the run."""
    strange = ["new\nline.png", "\x1b[31mred.png", os.fsdecode(b"latin-\xe9.png"), "-dash.png"]
    for i, name in enumerate(strange):
        Path(f"{i}.png").rename(name)
    for output in ("table.csv", "table.json"):
        answer = command("predict", "--output", output, "--", *strange)
        assert (answer.code, answer.err) == (0, "")
        assert "\x1b" not in answer.out and "new\\nline.png" in answer.out
    assert b"latin-\xe9.png" in Path("table.csv").read_bytes()
    answer = command("predict", "\x1b[31mnone.png")
    assert answer.code == 2 and "\x1b" not in answer.err


def test_imports_no_lightning(digits: list[int]) -> None:
    code = (
        "import sys; from mnist_lit.cli import main; code = main(['predict', '0.png']); "
        "heavy = {'lightning', 'torchvision', 'matplotlib', 'mlxtend', 'h5py'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def two_digits() -> None:
    images, _ = small_data.digits(2, 2)
    page = np.zeros((60, 140), np.uint8)
    page[16:44, 20:48], page[16:44, 90:118] = images
    Image.fromarray(page).save("01.png")


def test_split(command: Command) -> None:
    two_digits()
    done = command("predict", "01.png", "--split", "--output", "a.csv", "--show", "a.png")
    assert done.code == 0
    header, *lines = done.out.splitlines()[-3:]
    assert header.split() == [*COLUMNS, "box"] and len(lines) == 2
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert list(rows[0]) == [*COLUMNS, "box"] and [row["label"] for row in rows] == ["0", "1"]
    left, right = ([int(n) for n in row["box"].split(",")] for row in rows)
    assert 20 <= left[0] < left[0] + left[2] <= 48 and 90 <= right[0] < right[0] + right[2] <= 118
    assert lines[0].endswith(rows[0]["box"])
    # The figure is as wide as high as the picture, with both boxes in it.
    drawn = np.asarray(Image.open("a.png").convert("RGB")).astype(int)
    red = (drawn[..., 0] - drawn[..., 2]) > 100
    scale = drawn.shape[1] / 140
    columns = np.flatnonzero(red.any(axis=0)) / scale
    assert abs(columns.min() - left[0]) < 1.5 and abs(columns.max() - right[0] - right[2]) < 1.5
    assert command("predict", "01.png", "--split", "--output", "a.json").code == 0
    assert [row["box"] for row in json.loads(Path("a.json").read_text())] == [left, right]


def test_split_needs_pictures_of_ink(command: Command, tmp_path: Path) -> None:
    two_digits()
    assert "--split is for pictures" in command("predict", "--test-image", "0", "--split").err
    module = MNISTModule(preprocessing="plain")
    content = {"epoch": 0, "state_dict": module.state_dict()}
    checkpoints.write(Path("a.ckpt"), content | {"hyper_parameters": dict(module.hparams)})
    done = command("predict", "01.png", "--split", "--ckpt_path", "a.ckpt")
    assert done.code == 2 and "--split" in done.err and "plain" in done.err
