"""Exports: files that others' runtimes open, with the checkpoint's own answers."""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import onnxruntime
import pytest
import torch
from torch import Tensor

from mnist_lit import MNISTDataModule, export_checkpoint, load_checkpoint
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import PRETRAINED
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.errors import Argument, InputError, RunError
from mnist_lit.formats import export
from mnist_lit.training.module import MNISTModule
from small_data import digits, write_npz

ALL = ("safetensors", "onnx", "pt2", "html", "keras", "h5")
CHECKPOINT = Path("some.ckpt")
OUT = Path("out")
# Kinds that Keras and a page hold too; at another image size.
OTHER = [
    {"Conv2d": {"out_channels": 8, "kernel_size": 3, "stride": 2, "padding": 1, "bias": False}},
    "BatchNorm2d",
    "SiLU",
    {"AdaptiveAvgPool2d": 1},
    "Flatten",
    "Linear",
]


def save(dataset: str = sample.NAME, *, data: dict[str, Any] | None = None, **values: Any) -> Path:
    """Write a checkpoint whose network has learnt nothing."""
    torch.manual_seed(1)
    module = MNISTModule(dataset=dataset, **values)
    content = {"epoch": 0, "state_dict": module.state_dict()}
    content["hyper_parameters"] = dict(module.hparams)
    checkpoints.write(CHECKPOINT, content | ({"config": {"data": data}} if data else {}))
    return CHECKPOINT


def names() -> set[str]:
    return {path.name for path in OUT.iterdir()} if OUT.exists() else set()


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((OUT / "certificate.json").read_text())
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_format() -> None:
    certificate = export_checkpoint(save(), ALL, OUT)
    assert certificate == written()
    assert names() == {f"mnist.{name}" for name in ALL} | {"certificate.json"}
    assert certificate["dataset"] == certificate["trained_on"] == sample.NAME
    assert (certificate["n"], certificate["image_size"]) == (1000, 28)
    assert certificate["checkpoint_sha256"] == sha256(CHECKPOINT)
    assert certificate["network"] == checkpoints.read(CHECKPOINT).network.plain()
    assert certificate["accuracy_left_out"] is None and certificate["opset"] == 17
    for name in ALL:
        row = certificate["files"][f"mnist.{name}"]
        path = OUT / f"mnist.{name}"
        assert (row["sha256"], row["bytes"]) == (sha256(path), path.stat().st_size)
        assert row["max_difference"] <= 1e-5 and row["classes_differing"] == 0
        assert row["accuracy"] == row["checkpoint_accuracy"]
        own = name not in ("onnx", "pt2")
        assert row.get("weights_bitwise_equal") == (True if own else None)
        assert ("opened_by" in row) == (name in ("onnx", "keras", "h5"))
        assert row["versions"]["torch"] == importlib.metadata.version("torch")


@pytest.mark.parametrize("size", [20, 33])
def test_any_network_at_any_size(size: int) -> None:
    images, labels = digits(60, 3)
    scaled = torch.nn.functional.interpolate(torch.from_numpy(images)[:, None], size=(size, size))
    part = scaled[:, 0].numpy(), labels
    write_npz(Path("letters.npz"), part, part)
    data = MNISTDataModule("letters.npz")
    values = {"class_names": data.class_names, "preprocessing": "plain", "image_size": size}
    save(data.name, data={"dataset": "letters.npz"}, num_classes=3, network=OTHER, **values)
    certificate = export_checkpoint(CHECKPOINT, ALL, OUT)
    assert (certificate["dataset"], certificate["n"]) == (data.name, 60)
    assert (certificate["image_size"], certificate["network"]["layers"][2]) == (size, "SiLU")
    assert f"N×1×{size}×{size}" in certificate["input"]
    assert names() == {f"mnist.{name}" for name in ALL} | {"certificate.json"}
    program = torch.export.load(OUT / "mnist.pt2")
    for n in (1, 5):
        images_ = torch.rand(n, 1, size, size)
        expected = load_checkpoint(CHECKPOINT)(images_)
        torch.testing.assert_close(program.module()(images_), expected, atol=1e-6, rtol=0)


def test_format_given_twice_is_one_file() -> None:
    export_checkpoint(save(), ["h5", "h5"], OUT)
    assert names() == {"mnist.h5", "certificate.json"}


def test_graphs_describe_themselves() -> None:
    export_checkpoint(save(), ["onnx", "pt2"], OUT)
    session = onnxruntime.InferenceSession(OUT / "mnist.onnx")
    said = session.get_modelmeta().custom_metadata_map
    of_onnx = {name: json.loads(text) for name, text in said.items()}
    extra = {"metadata.json": ""}
    torch.export.load(OUT / "mnist.pt2", extra_files=extra)
    assert json.loads(extra["metadata.json"]) == of_onnx
    assert of_onnx["class_names"] == [str(n) for n in range(10)]
    assert of_onnx["image_size"] == 28 and "[0, 1]" in of_onnx["input"]
    assert of_onnx["network"] == checkpoints.read(CHECKPOINT).network.plain()


def test_safetensors_is_a_checkpoint() -> None:
    export_checkpoint(save(), ["safetensors"], OUT)
    content = checkpoints.read(OUT / "mnist.safetensors")
    assert content.network == checkpoints.read(CHECKPOINT).network
    assert content.dataset == sample.NAME


def test_another_file_keeps_its_entry() -> None:
    first = export_checkpoint(save(), ["safetensors", "onnx", "pt2"], OUT)["files"]
    (OUT / "mnist.pt2").write_bytes(b"changed since")
    checkpoint = CHECKPOINT.rename("first.ckpt")
    second = export_checkpoint(checkpoint, ["onnx"], OUT)
    assert written() == second
    assert list(second["files"]) == ["mnist.onnx", "mnist.safetensors"]
    kept = second["files"]["mnist.safetensors"]
    # What the certificate says of all its files is no longer true of this one.
    assert kept.pop("checkpoint") == "some.ckpt"
    assert kept == first["mnist.safetensors"]


def test_entry_of_another_checkpoint_says_so_until_it_is_replaced() -> None:
    before = export_checkpoint(save(), ["safetensors"], OUT)
    after = export_checkpoint(save(lr=0.1, network="small"), ["onnx"], OUT)
    kept = after["files"]["mnist.safetensors"]
    assert after["opset"] == 17 and "opset" not in kept
    for name in ("checkpoint_sha256", "network"):
        assert kept[name] == before[name] != after[name]
    last = export_checkpoint(CHECKPOINT, ["safetensors"], OUT)
    assert "network" not in last["files"]["mnist.safetensors"]
    assert last["files"]["mnist.onnx"] == after["files"]["mnist.onnx"] and last["opset"] == 17


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"files": 3}',
        '{"files": {"mnist.h5": 3}}',
        '{"files": {"../some.ckpt": {"sha256": "HASH"}}}',
        '{"files": {"/etc/passwd": {}}}',
    ],
)
def test_certificate_that_is_not_ours(text: str) -> None:
    save()
    OUT.mkdir()
    (OUT / "certificate.json").write_text(text.replace("HASH", sha256(CHECKPOINT)))
    assert list(export_checkpoint(CHECKPOINT, ["h5"], OUT)["files"]) == ["mnist.h5"]


def test_packaged_weights_without_their_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    certificate = export_checkpoint("pretrained", ["onnx", "h5"], OUT)
    assert certificate["dataset"] == sample.NAME and certificate["trained_on"] == "mnist"
    assert "cannot be had" in certificate["accuracy_left_out"]
    for row in certificate["files"].values():
        assert "accuracy" not in row and row["max_difference"] <= 1e-5


@pytest.mark.mnist
def test_on_mnist(mnist_dir: Path) -> None:
    """The packaged weights in every format, with the answers to all 10,000 test images."""
    data = MNISTDataModule(data_dir=str(mnist_dir), source="full")
    certificate = export_checkpoint("pretrained", ALL, OUT, data=data)
    summary = checkpoints.read(PRETRAINED).summary
    assert (certificate["dataset"], certificate["n"]) == ("mnist", 10_000)
    for row in certificate["files"].values():
        assert row["accuracy"] == summary["last"]["test_accuracy"] and row["classes_differing"] == 0

    images, _ = Published("mnist", str(mnist_dir)).read("test")
    module = load_checkpoint("pretrained")
    with torch.inference_mode():
        expected = module(images / 255)
    session = onnxruntime.InferenceSession(OUT / "mnist.onnx")
    answers = {"onnx": session.run(None, {"images": (images / 255).numpy()})[0]}
    for name in ("h5", "keras"):
        model = keras.models.load_model(OUT / f"mnist.{name}")
        answers[name] = model.predict(
            (images / 255).permute(0, 2, 3, 1).numpy(), batch_size=1000, verbose=0
        )
    for name, got in answers.items():
        assert torch.equal(torch.from_numpy(got).argmax(1), expected.argmax(1)), name


def shifted(by: float) -> Callable[[Path], Callable[[Tensor], Tensor]]:
    """Return a reader of files whose probabilities are off."""

    def read(path: Path) -> Callable[[Tensor], Tensor]:
        module = load_checkpoint(CHECKPOINT)
        return lambda images: (module(images).exp() + by).log()

    return read


def test_network_whose_answers_are_no_numbers() -> None:
    content = checkpoints.read(save()).content
    content["state_dict"]["network.dense2.bias"][3] = float("nan")
    checkpoints.write(CHECKPOINT, content)
    with pytest.raises(RunError) as caught:
        export_checkpoint(CHECKPOINT, ["onnx"], OUT)
    assert caught.value.subject == OUT / "mnist.onnx" and "nan" in str(caught.value.problem)
    assert names() == set()


@pytest.mark.parametrize("by", [2e-5, float("nan")])
def test_other_answers_leave_no_file(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    export_checkpoint(save(), ["onnx"], OUT)
    before = {path.name: path.read_bytes() for path in OUT.iterdir()}
    wrong = export.FORMATS["onnx"]._replace(read=shifted(by))
    monkeypatch.setitem(export.FORMATS, "onnx", wrong)
    with pytest.raises(RunError) as caught:
        export_checkpoint(CHECKPOINT, ["h5", "onnx"], OUT)
    assert caught.value.subject == OUT / "mnist.onnx"
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before
    right = export.FORMATS["onnx"]._replace(read=shifted(5e-6))
    monkeypatch.setitem(export.FORMATS, "onnx", right)
    export_checkpoint(CHECKPOINT, ["onnx"], OUT)


def test_other_weights_leave_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that change no probability by much are other weights all the same."""

    def read(path: Path) -> torch.nn.Module:
        network = checkpoints.read(path).build()
        with torch.no_grad():
            list(network.parameters())[-1].add_(1e-7)
        return network

    wrong = export.FORMATS["safetensors"]._replace(read=read)
    monkeypatch.setitem(export.FORMATS, "safetensors", wrong)
    with pytest.raises(RunError):
        export_checkpoint(save(), ["safetensors"], OUT)


def test_network_that_a_format_cannot_hold() -> None:
    layers = ["Flatten", {"Linear": 8}, {"GELU": "tanh"}, "Linear"]
    save(network=layers)
    for name in ("keras", "h5"):
        with pytest.raises(InputError) as caught:
            export_checkpoint(CHECKPOINT, ["safetensors", name], OUT)
        assert caught.value.subject == Argument("formats", name)
        assert "gelu" in str(caught.value.problem)
    assert names() == set()


def test_images_of_another_size() -> None:
    save(network=OTHER, image_size=20)
    with pytest.raises(InputError) as caught:
        export_checkpoint(CHECKPOINT, ["onnx"], OUT, data=MNISTDataModule(source="sample"))
    assert caught.value.subject == sample.NAME and names() == set()


def test_images_of_another_size_are_scaled_where_none_were_named() -> None:
    save(network=OTHER, image_size=20, data={"source": "sample"})
    certificate = export_checkpoint(CHECKPOINT, ["onnx"], OUT)
    assert (certificate["dataset"], certificate["image_size"]) == (sample.NAME, 20)
    assert "its own were scaled" in certificate["accuracy_left_out"]
    assert "accuracy" not in certificate["files"]["mnist.onnx"]


def test_unknown_format() -> None:
    with pytest.raises(InputError) as caught:
        export_checkpoint(save(), ["tflite"], OUT)
    assert caught.value.subject == Argument("formats", "tflite")
    assert "safetensors, onnx, pt2, html, keras, h5" in str(caught.value.remedy)
