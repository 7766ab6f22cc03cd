"""A checkpoint in the formats of others, each file read back and compared before it is kept."""

import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints import safetensors
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.published import Unavailable
from mnist_lit.errors import Argument, InputError, RunError
from mnist_lit.evaluation import Answers
from mnist_lit.files import sha256, write_json
from mnist_lit.formats import graph_metadata, onnx, page, pt2
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.formats.keras import writer as keras_writer
from mnist_lit.network.inference import log_probabilities
from mnist_lit.network.network import Network

# How far a probability may move.
TOLERANCE = 1e-5
OWN = "the reader of mnist-lit"
Function = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """How a checkpoint becomes a file, and how the file answers.

    Args:
        write: Writes the file of a checkpoint and its network.
        read: Returns the file's function from images N×1×S×S to log-probabilities; a module where
            our own reader made it, whose weights are compared too.
        verified_by: Whose reader that is.
        packages: What the file's bytes and answers depend on, besides torch.
        opened_by: Which versions of other programs open it (docs/keras.md has the table, which
            `make test-compat` makes), if it is for other programs.
        opset: The version of ONNX's operators.
        check: Raises InputError where the format cannot hold a network.
    """

    write: Callable[[Path, Checkpoint, Network], None]
    read: Callable[[Path], Function]
    verified_by: str = OWN
    packages: tuple[str, ...] = ()
    opened_by: str | None = None
    opset: int | None = None
    check: Callable[[Network], None] = lambda network: None


def _write_safetensors(path: Path, checkpoint: Checkpoint, network: Network) -> None:
    safetensors.write(path, checkpoint.weights, checkpoint.content, checkpoint.summary)


def _write_onnx(path: Path, checkpoint: Checkpoint, network: Network) -> None:
    onnx.write(path, network, metadata=graph_metadata(checkpoint))


def _write_pt2(path: Path, checkpoint: Checkpoint, network: Network) -> None:
    pt2.write(path, network, metadata=graph_metadata(checkpoint))


def _write_keras(path: Path, checkpoint: Checkpoint, network: Network) -> None:
    keras_writer.write(path, network)


def _read_keras(path: Path) -> Function:
    return keras_model.read(path).build()


KERAS = Format(_write_keras, _read_keras, packages=("h5py",), check=keras_writer.check)
FORMATS = {
    "safetensors": Format(
        _write_safetensors,
        lambda path: checkpoints.read(path).build(),
        packages=("safetensors",),
    ),
    "onnx": Format(
        _write_onnx,
        onnx.read,
        "onnxruntime",
        ("onnx", "onnxruntime"),
        "ONNX Runtime 1.16.3 to 1.32.0, OpenCV 5.0.0",
        onnx.OPSET,
    ),
    "pt2": Format(_write_pt2, pt2.read, "torch.export"),
    "html": Format(page.write, page.read, check=page.check),
    "keras": KERAS._replace(opened_by="Keras 2.15 (not with LeakyReLU) to 3.15.1"),
    "h5": KERAS._replace(opened_by="Keras 2.12 to 3.15.1"),
}


class Reference(NamedTuple):
    """What the files' answers are compared with.

    Args:
        images: Test images, uint8 N×1×S×S.
        answers: The checkpoint's own answers to them.
        dataset: The data set that they are of.
        why_unscored: Why no accuracy is given; None where it is.
    """

    images: Tensor
    answers: Answers
    dataset: str
    why_unscored: str | None


def export_checkpoint(
    checkpoint: str | Path,
    formats: Sequence[str],
    output: str | Path = ".",
    *,
    data: MNISTDataModule | None = None,
) -> dict[str, Any]:
    """Write `mnist.<format>` for each format and `certificate.json`; return the certificate.

    Every file takes float32 images with values in [0, 1]: N×S×S×1 in Keras's formats, N×1×S×S in
    the others, S being the checkpoint's image size. Keras's give probabilities N×classes, the
    others log-probabilities. Each file is read back and run on the checkpoint's test images; it
    gets its name only if it passes.

    A certificate that is there already keeps its entries of other files that haven't changed.

    Args:
        checkpoint: A file that `fit`, `import_keras` or this function wrote, or `pretrained`.
        formats: Some of `safetensors`, `onnx`, `pt2`, `html`, `keras`, `h5`.
        output: The folder to write to.
        data: Where the test images come from; by default the checkpoint's data set, or, where
            that cannot be had, the embedded sample, of which no accuracy is given then. Where its
            images are of another size, they are scaled.

    Raises:
        InputError: The checkpoint cannot be read, or a format cannot hold its network.
        RunError: A file does not give the checkpoint's answers.
    """
    content = checkpoints.read(checkpoint)
    network = content.build()
    chosen = _chosen(formats, network)
    reference = _reference(content, network, data)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as hidden:
        entries = {}
        for name, wanted in chosen.items():
            path = Path(hidden, f"mnist.{name}")
            wanted.write(path, content, network)
            entries[path.name] = _entry(path, folder, wanted, network, reference)
        certificate = _certificate(content, reference)
        files = entries | _kept_entries(folder, certificate, entries)
        certificate |= {"opset": files.get("mnist.onnx", {}).get("opset"), "files": files}
        for name in entries:
            Path(hidden, name).replace(folder / name)
        write_json(folder / "certificate.json", certificate)
    return certificate


def _chosen(formats: Sequence[str], network: Network) -> dict[str, Format]:
    """Return the formats by name; refuse unknown ones, and those that cannot hold the network."""
    chosen = {}
    for name in formats:  # a format that is given twice is one file
        if name not in FORMATS:
            raise InputError(
                Argument("formats", name), "is not a format", f"give some of {', '.join(FORMATS)}"
            )
        try:
            FORMATS[name].check(network)
        except InputError as error:
            problem = f"can't be written: {InputError(error.subject, error.problem, '')}"
            raise InputError(Argument("formats", name), problem, error.remedy) from error
        chosen[name] = FORMATS[name]
    return chosen


def _reference(checkpoint: Checkpoint, network: Network, data: MNISTDataModule | None) -> Reference:
    """Return the images to compare on, with the network's answers."""
    given, missing = data, None
    if data is None:
        data, missing = _own_data(checkpoint)
    data.prepare_data()
    data.setup("test")
    test, side = data.splits["test"], checkpoint.image_size
    images = test.images
    if images.shape[-1] != side:
        problem = f"has no images of {side}×{side} pixels, which the network takes"
        if given:
            remedy = ("name the data that it was trained on by", Argument("dataset"))
            raise InputError(data.name, problem, remedy)
        missing = f"{data.name} {problem}: its own were scaled"
        scaled = functional.interpolate(images.float(), (side, side), mode="area")
        images = scaled.round().to(torch.uint8)
    if data.class_names != checkpoint.class_names:
        missing = missing or f"{data.name} has other classes"
    elif data.name == sample.NAME and sample.was_trained_on(checkpoint.dataset):
        # The accuracy on images that the network was trained on says nothing.
        missing = missing or f"the network was trained on the images of {data.name}"
    answers = _answers(network, images, test.labels)
    return Reference(images, answers, data.name, missing)


def _own_data(checkpoint: Checkpoint) -> tuple[MNISTDataModule, str | None]:
    """Return a checkpoint's data set; or the sample, and why."""
    try:
        data = MNISTDataModule(**datasets.options_of(checkpoint))
        data.prepare_data()
    except (InputError, Unavailable) as error:
        why = error.reason if isinstance(error, Unavailable) else error
        missing = f"the test images of {checkpoint.dataset} cannot be had ({why})"
        return MNISTDataModule(source="sample"), missing
    return data, None


def _answers(function: Function, images: Tensor, labels: Tensor) -> Answers:
    found = log_probabilities(function, images)
    return Answers(images[:, 0].numpy(), labels.numpy(), found.numpy())


def _entry(
    path: Path, folder: Path, wanted: Format, network: Network, reference: Reference
) -> dict[str, Any]:
    """Read a written file back and compare it; return its entry in the certificate.

    Raises:
        RunError: It does not give the checkpoint's answers.
    """
    function = wanted.read(path)
    result = _compare(function, reference)
    if isinstance(function, nn.Module) and wanted.verified_by == OWN:
        result["weights_bitwise_equal"] = _same_weights(function, network)
    # Not "above": a difference that is no number must not pass.
    if (
        not result["max_difference"] <= TOLERANCE
        or result["classes_differing"]
        or not result.get("weights_bitwise_equal", True)
    ):
        raise RunError(
            folder / path.name,
            f"is not written: its probabilities differ by up to {result['max_difference']:.1e} "
            f"and {result['classes_differing']} of {len(reference.images)} classes",
            "please report it",
        )
    packages = ("torch", *wanted.packages)
    if wanted.opened_by:
        result["opened_by"] = wanted.opened_by
    if wanted.opset:
        result["opset"] = wanted.opset
    return result | {
        "verified_by": wanted.verified_by,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def _compare(function: Function, reference: Reference) -> dict[str, Any]:
    expected = reference.answers
    found = _answers(function, reference.images, torch.from_numpy(expected.labels))
    read, wanted = found.probabilities, expected.probabilities
    result: dict[str, Any] = {
        "max_difference": float(abs(read - wanted).max()),
        "classes_differing": int((read.argmax(1) != wanted.argmax(1)).sum()),
    }
    if reference.why_unscored is None:
        result |= {"checkpoint_accuracy": expected.accuracy, "accuracy": found.accuracy}
    return result


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        # How many batches a batch norm saw is no weight, and not every format holds it.
        torch.equal(value, second[name]) or name.endswith("num_batches_tracked")
        for name, value in first.items()
    )


def _certificate(checkpoint: Checkpoint, reference: Reference) -> dict[str, Any]:
    """Return what the certificate says of all files that are written together."""
    side = checkpoint.image_size
    return {
        "checkpoint": str(checkpoint.path),
        "checkpoint_sha256": sha256(checkpoint.path),
        "network": checkpoint.network.plain(),
        "image_size": side,
        "trained_on": checkpoint.dataset,
        "class_names": checkpoint.class_names,
        "dataset": reference.dataset,
        "split": "test",
        "n": len(reference.images),
        "tolerance": TOLERANCE,
        "input": f"float32 in [0, 1], N×1×{side}×{side} (h5 and keras: N×{side}×{side}×1)",
        "output": "log-probabilities N×classes (h5 and keras: probabilities)",
        "accuracy_left_out": reference.why_unscored,
        "python": platform.python_version(),
    }


def _kept_entries(
    folder: Path, certificate: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entries of the certificate in `folder` that stay beside new ones.

    They are those of other files that are still there with the same hash. What the earlier
    certificate says of them otherwise than the new one (another checkpoint, another data set)
    becomes a part of the entry.
    """
    try:
        before = json.loads((folder / "certificate.json").read_text("utf-8"))
        files = before.pop("files")
        before.pop("opset", None)  # an entry has its own
        return {
            name: {
                key: value
                for key, value in (before | entry).items()
                if key not in certificate or certificate[key] != value
            }
            for name, entry in files.items()
            if name not in written and _is_unchanged(folder, name, entry)
        }
    except Exception:  # none is there, or it isn't ours: a file can hold anything
        return {}


def _is_unchanged(folder: Path, name: str, entry: Mapping[str, Any]) -> bool:
    path = folder / name
    return Path(name).name == name and path.is_file() and sha256(path) == entry["sha256"]
