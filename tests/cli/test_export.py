"""`export`: what its options mean and what it prints."""

import builtins
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from helpers import Command
from mnist_lit.formats import export

SAMPLE = ("--data.source", "sample")


def test_table(command: Command) -> None:
    """Without a run the packaged weights are exported."""
    answer = command("export", "--format", "h5", "safetensors", "--output", "out", *SAMPLE)
    assert (answer.code, answer.err) == (0, "")
    said, where, header, *rows, why = answer.out.splitlines()
    assert said.startswith("there is no run in runs")
    assert where.endswith("-> out, compared on 1,000 images (mnist-sample-5k)")
    assert header.split() == [
        "max",
        "|Δ|",
        "differing",
        "accuracy",
        "bytes",
        "sha256",
        "verified",
        "by",
    ]
    assert why.startswith("without accuracies: the network was trained on the images")
    found = json.loads(Path("out/certificate.json").read_text())["files"]
    for row, name in zip(rows, ("mnist.h5", "mnist.safetensors"), strict=True):
        assert row.split()[:4] == [name, "0.0e+00", "0", "-"]
        assert row.split()[5] == found[name]["sha256"][:12]
        assert row.endswith(found[name]["verified_by"])
    # Files of an earlier export stay in the certificate and are not printed again.
    answer = command("export", "--format", "onnx", "--output", "out", *SAMPLE)
    assert answer.out.count("mnist.") == 1
    assert len(json.loads(Path("out/certificate.json").read_text())["files"]) == 3


def test_runs_of_another_folder(command: Command) -> None:
    short = ("--trainer.limit_train_batches", 1, "--trainer.max_epochs", 1)
    other = ("--trainer.default_root_dir", "other")
    assert command("fit", *SAMPLE, *short, *other).code == 0
    answer = command("export", "--runs", "other/runs", "--format", "h5", "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("other/runs/mnist/version_0/checkpoints/best.ckpt -> out")


def test_missing_packages(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "onnx":
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    answer = command("export", "--format", "onnx", "--output", "out", *SAMPLE)
    assert answer.code == 2 and 'python -m pip install "mnist-lit[export]"' in answer.err
    assert not list(Path("out").iterdir())


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ["--format is missing", "safetensors, onnx, pt2, html, keras, h5"]),
        ("--format tflite", ["--format tflite is not a format", "give some of safetensors"]),
        ("--format h5 --output file", ["--output file is a file", "name a folder"]),
        ("--format h5 --output file/out", ["--output file/out would lie inside the file"]),
        ("--format h5 --ckpt_path none.ckpt", ["none.ckpt is not there"]),
        ("--format h5 --data.dataset letters", ["--data.dataset letters"]),
    ],
)
def test_wrong_options(
    command: Command, monkeypatch: pytest.MonkeyPatch, line: str, parts: list[str]
) -> None:
    def work(*args: Any) -> None:
        raise AssertionError("refused too late")

    monkeypatch.setattr(export, "_reference", work)
    Path("file").touch()
    answer = command("export", *line.split())
    assert answer.code == 2 and answer.err.count("\n") == 1
    for part in parts:
        assert part in answer.err
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_locked_folder(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:  # as the system does, which lets root write everywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(options["dir"]))

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    answer = command("export", "--format", "h5", "--output", "locked", *SAMPLE)
    assert answer.code == 1 and answer.err.startswith("error: locked: Permission denied")
