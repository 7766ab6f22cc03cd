"""`import-keras`: what it prints of what it took."""

import shlex
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers import Command
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.formats.keras import writer
from mnist_lit.network.network import Network

SAMPLE = ("--data.source", "sample")


@pytest.fixture
def trained() -> Path:
    """The packaged network as a Keras file."""
    writer.write(Path("model.keras"), checkpoints.read("pretrained").build())
    return Path("model.keras")


def test_layers_and_accuracy(command: Command, trained: Path) -> None:
    answer = command("import-keras", trained, "--output", "a.ckpt", *SAMPLE)
    assert (answer.code, answer.err) == (0, "")
    first, header, *rows = answer.out.splitlines()
    assert first == "model.keras -> a.ckpt"
    assert header.split() == ["in", "Keras", "here", "parameters"]
    assert rows[0].split() == ["conv2d", "(Conv2D)", "conv1,", "relu1", "544"]
    total = next(row for row in rows if row.startswith("total"))
    assert total.split() == ["total", "103,786"]
    (accuracy,) = (row for row in rows if row.startswith("accuracy"))
    assert accuracy.endswith("on 1,000 test images of mnist-sample-5k")
    assert float(accuracy.split()[1]) > 0.99 and "causes" not in answer.out
    assert "taken to be of mnist data" in answer.out
    assert rows[-1] == "next  python -m mnist_lit test --ckpt_path a.ckpt"


def test_no_download_for_an_accuracy(command: Command, trained: Path) -> None:
    """Without files at hand there is no accuracy, and no warning either."""
    answer = command("import-keras", trained, "--output", "a.ckpt")
    assert (answer.code, answer.err) == (0, "")
    assert "accuracy" not in answer.out and not Path("data").exists()


def test_low_accuracy_and_the_option_that_helps(command: Command) -> None:
    """A network trained on pixels of 0 to 255."""
    network = checkpoints.read("pretrained").build()
    with torch.no_grad():
        next(network.parameters()).div_(255)
    writer.write(Path("bytes.h5"), network)
    base = ("import-keras", "bytes.h5", "--output", "a.ckpt", *SAMPLE)
    answer = command(*base)
    assert answer.code == 0 and "pixels of 0 to 255?" in answer.out
    assert "--input_range 0 255" in answer.out and "--input_range 1 0" in answer.out
    answer = command(*base, "--input_range", 0, 255)
    assert answer.code == 0 and "causes" not in answer.out
    (line,) = (line for line in answer.out.splitlines() if line.startswith("accuracy"))
    assert float(line.split()[1]) > 0.99


def test_unknown_data(command: Command) -> None:
    writer.write(Path("letters.h5"), Network(26, network=["Flatten", "Linear"], image_size=20))
    answer = command("import-keras", "letters.h5", "--output", "a.ckpt")
    assert answer.code == 0 and "accuracy" not in answer.out
    assert "what data it is of isn't known: --data.dataset DATA names them" in answer.out
    assert answer.out.endswith("test --ckpt_path a.ckpt --data.dataset DATA\n")
    answer = command("fit", "--ckpt_path", "a.ckpt", *SAMPLE)
    assert answer.code == 2 and "knows the classes" in answer.err


def test_images_of_another_size(command: Command) -> None:
    writer.write(Path("large.h5"), Network(10, network=["Flatten", "Linear"], image_size=32))
    command("import-keras", "large.h5", "--output", "a.ckpt")
    for name in ("fit", "test"):
        answer = command(name, "--ckpt_path", "a.ckpt", *SAMPLE)
        assert answer.code == 2 and "a.ckpt takes images of 32×32 pixels" in answer.err
        assert "name the data it was trained on by --data.dataset" in answer.err


def test_what_it_was_trained_on_is_not_known(command: Command, trained: Path) -> None:
    command("import-keras", trained, "--output", "a.ckpt", *SAMPLE)
    short = (*SAMPLE, "--trainer.limit_train_batches", 1, "--trainer.max_epochs", 1)
    for option in ("--ckpt_path", "--weights"):
        answer = command("fit", option, "a.ckpt", *short)
        assert answer.code == 0
        assert "a.ckpt was trained on mnist, which holds the sample's images" in answer.out


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ["file", "--help"]),
        ("model.keras", ["--output is missing", "FILE.ckpt"]),
        ("model.keras --output a.txt", ["--output a.txt has the wrong ending", ".ckpt"]),
        ("model.keras --output folder.ckpt", ["--output folder.ckpt is a folder"]),
        ("none.h5 --output a.ckpt", ["none.h5"]),
        ("model.keras --output a.ckpt --input_range 1 1", ["--input_range 1.0 1.0"]),
        ("model.keras --output a.ckpt --input_range 1", ["--input_range"]),
        ("model.keras --output a.ckpt --data.dataset emnist-letters", ["--data.dataset"]),
    ],
)
def test_wrong_options(command: Command, trained: Path, line: str, parts: list[str]) -> None:
    Path("folder.ckpt").mkdir()
    answer = command("import-keras", *line.split())
    assert answer.code == 2 and answer.err.count("\n") == 1 and answer.out == ""
    for part in parts:
        assert part in answer.err
    assert not Path("a.ckpt").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("test", "--ckpt_path"),
        ("predict", "photo.png", "--ckpt_path"),
        ("export", "--format", "onnx", "--output", "out", "--ckpt_path"),
        ("fit", "--ckpt_path"),
        ("fit", "--data.source", "sample", "--weights"),
    ],
    ids=lambda args: f"{args[0]} {args[-1]}",
)
def test_other_commands_name_it_for_a_model_that_it_takes(
    command: Command, args: tuple[str, ...]
) -> None:
    image = Image.new("L", (28, 28))
    image.save("photo.png")
    writer.write(Path("model.keras"), Network())
    Path("model.keras").rename("my model")
    answer = command(*args, "my model")
    assert answer.code == 2
    assert answer.err.startswith("error: my model is a Keras model: make a checkpoint of it by `")
    line = answer.err.split("`")[1]
    assert command(*shlex.split(line)[3:]).code == 0 and Path("my model.ckpt").is_file()
    Path("my model").write_bytes(b"no model")
    answer = command(*args, "my model")
    assert answer.code == 2 and "import-keras" not in answer.err
