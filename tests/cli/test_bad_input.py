"""Each wrong input ends in one line that names it and the remedy; nothing is left behind."""

from pathlib import Path

import pytest

from helpers import Command

FILES = {
    "no.yaml": "data: [1,\n",
    "text.yaml": "hello\n",
    "empty.yaml": "",
    "key.yaml": "data:\n  batchsize: 3\n",
    "group.yaml": "optimiser:\n  lr: 3\n",
    "type.yaml": "model:\n  lr: fast\n",
    "bytes.yaml": "\udcff\udcfe",
    "call.yaml": "trainer: {callbacks: {class_path: os.system, init_args: {command: id}}}\n",
    "garbage.ckpt": "no archive",
    "empty.ckpt": "",
}


@pytest.fixture
def files() -> list[str]:
    for name, text in FILES.items():
        Path(name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return sorted(FILES)


@pytest.mark.parametrize(
    "line, parts",
    [
        ("fit --data.batchsize 3", ["--data.batchsize", "did you mean --data.batch_size?"]),
        ("fit --batch_size 3", ["--batch_size", "did you mean --data.batch_size?"]),
        ("fit --modle.lr=3", ["--modle.lr", "did you mean --model.lr?"]),
        ("fit --xyzzy", ["--xyzzy", "see `python -m mnist_lit fit --help`"]),
        ("fit quick", ["quick", "see `python -m mnist_lit fit --help`"]),
        ("fit --config", ["--config: expected one argument", "--help"]),
        ("fit --data.batch_size many", ["--data.batch_size", "many", "--help"]),
        (
            "fit --trainer.max_epochs many",
            ["--trainer.max_epochs: many is none of int, null", "--help"],
        ),
        ("fit --data.dataset letters", ["--data.dataset", "letters"]),
        ("fit --data.source web", ["--data.source", "web"]),
        ("fit --data.batch_size 0", ["--data.batch_size 0 is below 1: give at least 1"]),
        ("fit --data.val_split 1.5", ["--data.val_split 1.5", "at least 0"]),
        ("fit --model.lr 0", ["--model.lr 0.0", "above 0"]),
        ("fit --model.dropout 1", ["--model.dropout 1.0", "at least 0 and below 1"]),
        ("fit --seed_everything -1", ["--seed_everything -1", "give 0 to 2**32 - 1"]),
        ("fit --trainer.max_epochs 0", ["--trainer.max_epochs 0 leaves nothing to do"]),
        ("fit --trainer.limit_test_batches 0", ["--trainer.limit_test_batches 0 leaves nothing"]),
        ("fit --trainer.max_epochs -3", ["max_epochs", "-3"]),
        ("fit --trainer.accelerator banana", ["trainer", "banana", "cpu"]),
        ("fit --trainer.devices 0", ["devices", "0"]),
        ("fit --name a/b", ["--name a/b", "folder's name"]),
        ("fit --name ..", ["--name ..", "folder's name"]),
        ("fit --name=", ["--name ''", "folder's name"]),
        ("fit --config none.yaml", ["--config", "none.yaml", "give the path of a YAML file"]),
        ("fit --config no.yaml", ["--config no.yaml is not YAML", "fix the line"]),
        ("fit --config text.yaml", ["--config holds no table of options: hello"]),
        ("fit --config key.yaml", ["batchsize", "did you mean --data.batch_size?"]),
        ("fit --config group.yaml", ["optimiser"]),
        ("fit --config type.yaml", ["--model.lr", "fast"]),
        ("fit --config bytes.yaml", ["--config bytes.yaml is not YAML"]),
        ("fit --config .", ["--config", "give the path of a YAML file"]),
        ("fit --config call.yaml", ["os.system", "name a class of mnist_lit"]),
        ("fit --ckpt_path last", ["there is no run in runs", "python -m mnist_lit fit"]),
        ("fit --ckpt_path none.ckpt", ["none.ckpt is not there", "give the path"]),
        ("fit --ckpt_path empty.ckpt", ["empty.ckpt is not a whole checkpoint"]),
        ("fit --ckpt_path garbage.ckpt", ["garbage.ckpt is not a whole checkpoint"]),
        ("fit --weights none.ckpt --data.source sample", ["none.ckpt is not there"]),
        ("test", ["there is no run in runs", "--ckpt_path"]),
        ("validate", ["there is no run in runs", "--ckpt_path"]),
        ("test --ckpt_path none.ckpt", ["none.ckpt is not there", "give the path"]),
        ("test --ckpt_path garbage.ckpt", ["garbage.ckpt is not a whole checkpoint"]),
        ("test --ckpt_path .", [". is a folder: give the path"]),
        ("test --ckpt_path https://localhost/x.ckpt", ["is an address", "download it"]),
    ],
)
def test_wrong_input(command: Command, files: list[str], line: str, parts: list[str]) -> None:
    answer = command(*line.split())
    assert answer.code == 2, answer.err
    assert answer.out == ""
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1
    for part in parts:
        assert part in answer.err
    assert sorted(path.name for path in Path().iterdir()) == files


@pytest.mark.parametrize("content", ["", "short"])
def test_wrong_raw_file(command: Command, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte").write_text(content)
    answer = command("fit")
    assert answer.code == 1
    assert answer.err.startswith(f"error: {raw}/train-labels-idx1-ubyte has {len(content)} bytes")
    assert "replace it, or delete it" in answer.err and not Path("runs").exists()


def test_data_folder_that_cannot_be_written(command: Command) -> None:
    Path("file").touch()
    answer = command("fit", "--data.data_dir", "file/data")
    assert answer.code == 1
    assert answer.err.startswith("error: file/data/MNIST/raw cannot be written")
    assert "--data.data_dir" in answer.err and not Path("runs").exists()


def test_no_data_and_none_to_be_had(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    answer = command("fit", "--data.source", "full")
    assert answer.code == 1 and answer.err.count("\n") == 1
    for part in ("data/MNIST/raw", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "doctor"):
        assert part in answer.err
    assert not Path("runs").exists()


def test_runs_that_is_no_folder(command: Command) -> None:
    Path("runs").touch()
    answer = command("fit", "--data.source", "sample")
    assert answer.code == 1
    assert answer.err.startswith("error: runs") and answer.err.count("\n") == 1
