"""`export`: files that others' runtimes open, with the checkpoint's own answers."""

import builtins
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from helpers import SHORT, Command
from mnist_lit import export_checkpoint, load_checkpoint
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints import safetensors
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.formats import export as certificate

ALL = ("safetensors", "onnx", "pt2", "html", "keras", "h5")
CHECKPOINT = Path("runs/mnist/version_0/checkpoints/best.ckpt")
FILES = {"safetensors", "onnx", "pt2", "keras", "h5"}


def names() -> set[str]:
    return {path.name for path in Path("out").iterdir()} if Path("out").exists() else set()


@pytest.fixture
def trained(command: Command) -> Path:
    command("fit", *SHORT, "--trainer.max_epochs", 1)
    return CHECKPOINT


def test_every_format(command: Command, trained: Path) -> None:
    answer = command("export", "--format", *ALL, "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    assert names() == {f"mnist.{name}" for name in ALL} | {"certificate.json"}
    found = json.loads(Path("out/certificate.json").read_text())
    assert found["dataset"] == found["trained_on"] == sample.NAME and found["n"] == 1000
    assert found["checkpoint_sha256"] == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert found["accuracy_left_out"] is None
    summary = json.loads((CHECKPOINT.parents[1] / "summary.json").read_text())
    for name in ALL:
        row = found["files"][f"mnist.{name}"]
        content = Path(f"out/mnist.{name}").read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["bytes"] == len(content)
        assert row["max_difference"] <= 1e-5 and row["classes_differing"] == 0
        assert row["accuracy"] == row["checkpoint_accuracy"] == summary["best"]["test_accuracy"]
        own = name not in ("onnx", "pt2")
        assert row.get("weights_bitwise_equal") == (True if own else None)
        assert row["versions"]["torch"] == importlib.metadata.version("torch")
        (line,) = (line for line in answer.out.splitlines() if line.startswith(f"mnist.{name} "))
        assert line.split()[5] == row["sha256"][:12] and line.endswith(row["verified_by"])


def test_format_given_twice_is_one_file(command: Command, trained: Path) -> None:
    answer = command("export", "--format", "h5", "h5", "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    assert names() == {"mnist.h5", "certificate.json"}


def test_onnx_by_itself(trained: Path) -> None:
    export_checkpoint(trained, ["onnx"], "out")
    model = onnx.load("out/mnist.onnx")
    assert names() == {"mnist.onnx", "certificate.json"}  # no second file for the weights
    assert model.opset_import[0].version == 20
    assert json.loads(Path("out/certificate.json").read_text())["opset"] == 20
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said["class_names"] == [str(n) for n in range(10)] and "[0, 1]" in said["input"]
    session = onnxruntime.InferenceSession("out/mnist.onnx")
    module = load_checkpoint(trained)
    for n in (1, 2, 7, 300):
        images = torch.rand(n, 1, 28, 28)
        (found,) = session.run(["log_probabilities"], {"images": images.numpy()})
        expected = module(images).detach()
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)


def test_pt2_by_itself(trained: Path) -> None:
    export_checkpoint(trained, ["pt2"], "out")
    extra = {"metadata.json": ""}
    program = torch.export.load("out/mnist.pt2", extra_files=extra)
    assert json.loads(extra["metadata.json"])["dataset"] == sample.NAME
    module = load_checkpoint(trained)
    for n in (1, 9):
        images = torch.rand(n, 1, 28, 28)
        torch.testing.assert_close(program.module()(images), module(images), atol=1e-6, rtol=0)


def test_safetensors_is_a_checkpoint(command: Command, trained: Path) -> None:
    export_checkpoint(trained, ["safetensors"], "out")
    result = command("test", "--ckpt_path", "out/mnist.safetensors")
    assert result.code == 0
    content = safetensors.read(Path("out/mnist.safetensors"))
    assert content["hyper_parameters"]["network"] == "notebook"


def test_packaged_weights_without_their_test_images(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    answer = command("export", "--format", "onnx", "h5", "--output", "out")
    assert (answer.code, answer.err) == (0, "")  # no box: no figure of it is shown
    found = json.loads(Path("out/certificate.json").read_text())
    assert found["dataset"] == sample.NAME and found["trained_on"] == "mnist"
    assert "cannot be had" in found["accuracy_left_out"]
    assert "without accuracies: the test images of mnist cannot be had" in answer.out
    assert "(mnist-sample-5k)" in answer.out
    for row in found["files"].values():
        assert "accuracy" not in row and row["max_difference"] <= 1e-5


@pytest.mark.mnist
def test_on_mnist(command: Command, mnist_dir: Path) -> None:
    """The packaged weights in every format, with the answers to all 10,000 test images."""
    options = ("--ckpt_path", "pretrained", "--data.data_dir", mnist_dir, "--output", "out")
    answer = command("export", "--format", *ALL, *options)
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(Path("out/certificate.json").read_text())
    summary = safetensors.read(checkpoints.PRETRAINED)["summary"]
    assert (found["dataset"], found["n"]) == ("mnist", 10_000)
    for row in found["files"].values():
        assert row["accuracy"] == summary["last"]["test_accuracy"] and row["classes_differing"] == 0

    images, _ = Published("mnist", str(mnist_dir)).read("test")
    module = load_checkpoint("pretrained")
    with torch.inference_mode():
        expected = module(images / 255)
    session = onnxruntime.InferenceSession("out/mnist.onnx")
    answers = {"onnx": session.run(None, {"images": (images / 255).numpy()})[0]}
    for name in ("h5", "keras"):
        model = keras.models.load_model(f"out/mnist.{name}")
        answers[name] = model.predict(
            (images / 255).permute(0, 2, 3, 1).numpy(), batch_size=1000, verbose=0
        )
    for name, got in answers.items():
        assert torch.equal(torch.from_numpy(got).argmax(1), expected.argmax(1)), name


def shifted(by: float) -> Callable[[Path], Callable[[Tensor], Tensor]]:
    def read(path: Path) -> Callable[[Tensor], Tensor]:
        module = load_checkpoint(CHECKPOINT)
        return lambda images: (module(images).exp() + by).log()

    return read


def test_network_whose_answers_are_no_numbers(command: Command, trained: Path) -> None:
    content = checkpoints.read(trained).content
    content["state_dict"]["network.dense2.bias"][3] = float("nan")
    checkpoints.write(Path("nan.ckpt"), content)
    answer = command("export", "--ckpt_path", "nan.ckpt", "--format", "onnx", "--output", "out")
    assert answer.code == 1 and "differ by up to nan" in answer.err and names() == set()


@pytest.mark.parametrize("by", [2e-5, float("nan")])
def test_other_answers_leave_no_file(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    command("export", "--format", "onnx", "--output", "out")
    before = Path("out/mnist.onnx").read_bytes(), Path("out/certificate.json").read_bytes()
    wrong = certificate.FORMATS["onnx"]._replace(read=shifted(by))
    monkeypatch.setitem(certificate.FORMATS, "onnx", wrong)
    answer = command("export", "--format", "h5", "onnx", "--output", "out")
    assert answer.code == 1
    assert answer.err.startswith("error: out/mnist.onnx is not written: its probabilities differ")
    after = Path("out/mnist.onnx").read_bytes(), Path("out/certificate.json").read_bytes()
    assert after == before and names() == {"mnist.onnx", "certificate.json"}
    right = certificate.FORMATS["onnx"]._replace(read=shifted(5e-6))
    monkeypatch.setitem(certificate.FORMATS, "onnx", right)
    assert command("export", "--format", "onnx", "--output", "out").code == 0


def test_missing_packages(command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "onnx":
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    answer = command("export", "--format", "onnx", "--output", "out")
    assert answer.code == 2 and 'python -m pip install "mnist-lit[export]"' in answer.err
    assert names() == set()


def test_every_format_of_another_network(command: Command) -> None:
    first = "{Conv2d: {out_channels: 5, kernel_size: 3}}"
    layers = f"[{first}, Tanh, Flatten, {{Linear: 7}}, ELU, Linear]"
    for name, network in (("small", "small"), ("own", layers)):
        options = ("--model.network", network, "--trainer.max_epochs", 1, "--name", name)
        assert command("fit", *SHORT, *options).code == 0
        answer = command("export", "--format", *ALL, "--output", name)
        assert (answer.code, answer.err) == (0, "")
        found = json.loads(Path(name, "certificate.json").read_text())
        assert found["files"].keys() == {f"mnist.{each}" for each in ALL}


def test_network_that_keras_files_cannot_hold(command: Command) -> None:
    layers = "[{AvgPool2d: {kernel_size: 3, padding: 1}}, Flatten, Linear]"
    command("fit", *SHORT, "--model.network", layers, "--trainer.max_epochs", 1)
    answer = command("export", "--format", "h5", "--output", "out")
    assert answer.code == 2 and "AvgPool2d" in answer.err and names() == set()


def test_wrong_options(command: Command, trained: Path) -> None:
    assert "--format is missing" in command("export").err
    answer = command("export", "--format", "tflite")
    assert answer.code == 2 and "give safetensors, onnx, pt2, html, keras, h5" in answer.err
    Path("file").touch()
    answer = command("export", "--format", "h5", "--output", "file")
    assert answer.code == 2 and "--output file is a file" in answer.err
    if os.geteuid():
        Path("locked").mkdir(mode=0o500)
        answer = command("export", "--format", "h5", "--output", "locked")
        assert answer.code == 1 and answer.err.startswith("error: locked")
