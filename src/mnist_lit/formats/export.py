"""`export`: a checkpoint in the formats of others, each file read back and compared first."""

import hashlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mnist_lit import environment as process
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints import safetensors
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import ImageDataset, MNISTDataModule
from mnist_lit.data.published import Unavailable
from mnist_lit.errors import InputError, RunError
from mnist_lit.formats import graph_metadata, onnx, pt2
from mnist_lit.formats import page as html
from mnist_lit.formats.keras import files as keras
from mnist_lit.network.network import Network
from mnist_lit.runs import run as runs

# How far a probability may move.
TOLERANCE = 1e-5
Answers = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """How a checkpoint's content and network become a file, and how the file answers."""

    write: Callable[[Path, Mapping[str, Any], Any], None]
    read: Callable[[Path], Answers]
    verified_by: str
    packages: tuple[str, ...] = ()
    notebook_only: bool = False


def _write_graph(write: Callable[..., None]) -> Callable[[Path, Mapping[str, Any], Any], None]:
    return lambda path, content, network: write(
        path, network, metadata=graph_metadata(content["hyper_parameters"])
    )


def _read_keras(path: Path) -> Answers:
    content = keras.read(path)
    network = Network(len(content.weights["dense2.bias"]))
    network.load_state_dict(content.weights)
    return network.eval()


OWN = "the reader of mnist-lit"
KERAS = Format(
    lambda path, _, network: keras.write(path, network), _read_keras, OWN, ("h5py",), True
)
FORMATS = {
    "safetensors": Format(
        lambda path, content, _: safetensors.write(
            path, content, summary=content.get("summary", {})
        ),
        lambda path: checkpoints.load_network(path)[0],
        OWN,
        ("safetensors",),
    ),
    "onnx": Format(
        _write_graph(onnx.write), onnx.read, "onnxruntime", ("onnx", "onnxruntime", "onnxscript")
    ),
    "pt2": Format(_write_graph(pt2.write), pt2.read, "torch.export"),
    "html": Format(html.write, html.read, OWN, (), True),
    "keras": KERAS,
    "h5": KERAS,
}


def export_checkpoint(
    checkpoint: str | Path,
    formats: Sequence[str],
    output: str | Path = ".",
    *,
    data: MNISTDataModule | None = None,
) -> dict[str, Any]:
    """Write `mnist.<format>` for each format and `certificate.json`; return the certificate.

    Every file takes float32 images with values in [0, 1]: N×28×28×1 in Keras's formats, N×1×28×28
    in the others. Keras's give probabilities N×classes, the others log-probabilities. Each file is
    read back and run on the checkpoint's test images; it gets its name only if it passes.

    Args:
        checkpoint: A file that `fit`, `import_keras` or this function wrote.
        formats: Some of `safetensors`, `onnx`, `pt2`, `html`, `keras`, `h5`.
        output: The folder to write to.
        data: Where the test images come from; by default the checkpoint's data set, or, where
            that cannot be had, the embedded sample, of which no accuracy is given then.

    Raises:
        InputError: The checkpoint cannot be read, or a format cannot hold its network.
        RunError: A file does not give the checkpoint's answers.
    """
    formats = list(dict.fromkeys(formats))  # a format given twice is one file
    content = checkpoints.read(checkpoint)
    network, values = checkpoints.load_network(checkpoint)
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"--format {name} is unknown: give {', '.join(FORMATS)}")
        if FORMATS[name].notebook_only and not isinstance(network, Network):
            raise InputError(
                f"--format {name} cannot hold the network `{values['network']}`: "
                "use safetensors, onnx or pt2"
            )
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {output} is a file: name a folder")
    missing = None
    if data is None:
        data, missing = _data(content)
    data.prepare_data()
    data.setup("test")
    images, dataset = data.splits["test"], data.name
    if data.class_names != values["class_names"]:
        missing = missing or f"{dataset} has other classes"
    elif dataset == sample.NAME and values["dataset"] in sample.HOLDERS:
        # Of images that the network was trained on, an accuracy says nothing.
        missing = missing or f"the network was trained on the images of {dataset}"
    unseen = missing is None
    expected = _probabilities(network, images)
    files = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as hidden:
        for name in formats:
            path = Path(hidden) / f"mnist.{name}"
            FORMATS[name].write(path, content, network)
            answers = FORMATS[name].read(path)
            result = _compare(answers, images, expected, unseen)
            if isinstance(answers, nn.Module) and FORMATS[name].verified_by == OWN:
                result["weights_bitwise_equal"] = _same_weights(answers, network)
            # Not "above": a difference that is no number must not pass.
            if (
                not result["max_difference"] <= TOLERANCE
                or result["classes_differing"]
                or not result.get("weights_bitwise_equal", True)
            ):
                raise RunError(
                    f"{folder / path.name} is not written: its probabilities differ by up to "
                    f"{result['max_difference']:.1e} and {result['classes_differing']} of "
                    f"{len(images)} classes: please report it"
                )
            packages = ("torch", *FORMATS[name].packages)
            files[path.name] = result | {
                "verified_by": FORMATS[name].verified_by,
                "bytes": path.stat().st_size,
                "sha256": _sha256(path),
                "versions": {package: importlib.metadata.version(package) for package in packages},
            }
        certificate = {
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": _sha256(checkpoints.file(checkpoint)),
            "network": values["network"],
            "trained_on": values["dataset"],
            "class_names": values["class_names"],
            "dataset": dataset,
            "split": "test",
            "n": len(images),
            "tolerance": TOLERANCE,
            "input": "float32 in [0, 1], N×1×28×28 (h5 and keras: N×28×28×1)",
            "output": "log-probabilities N×classes (h5 and keras: probabilities)",
            "opset": onnx.OPSET if "onnx" in formats else None,
            "accuracy_left_out": missing,
            "python": platform.python_version(),
            "files": files,
        }
        for name in formats:
            (Path(hidden) / f"mnist.{name}").replace(folder / f"mnist.{name}")
        runs.write_json(folder / "certificate.json", certificate)
    return certificate


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    its = other.state_dict()
    return all(torch.equal(value, its[name]) for name, value in one.state_dict().items())


def _data(content: Mapping[str, Any]) -> tuple[MNISTDataModule, str | None]:
    """Return a checkpoint's data set; or the sample, and why."""
    try:
        data = MNISTDataModule(**datasets.recorded_options(content))
        data.prepare_data()
    except (InputError, Unavailable) as error:
        why = error.reason if isinstance(error, Unavailable) else error
        trained_on = content["hyper_parameters"]["dataset"]
        missing = f"the test images of {trained_on} cannot be had ({why})"
        return MNISTDataModule(source="sample"), missing
    return data, None


def _probabilities(answers: Answers, images: ImageDataset) -> Tensor:
    with torch.inference_mode():
        return torch.cat([answers(part / 255).exp() for part in images.images.split(500)])


def _compare(
    answers: Answers, images: ImageDataset, expected: Tensor, unseen: bool
) -> dict[str, Any]:
    found = _probabilities(answers, images)
    result: dict[str, Any] = {
        "max_difference": float((found - expected).abs().max()),
        "classes_differing": int((found.argmax(1) != expected.argmax(1)).sum()),
    }
    if unseen:
        for name, probabilities in (("checkpoint_accuracy", expected), ("accuracy", found)):
            correct = int((probabilities.argmax(1) == images.labels).sum())
            result[name] = correct / len(images)
    return result


def command(args: list[str]) -> int:
    """Export the checkpoint that the options name; print the certificate as a table."""
    process.quiet()
    parser = Parser(prog="python -m mnist_lit export", description="")
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        help="`best` (default) or `last` of the newest run, `pretrained` (the default where there "
        "is no run), or a path",
    )
    parser.add_argument("--format", nargs="+", type=str, help=f"some of {', '.join(FORMATS)}")
    parser.add_argument("--output", type=str, default=".", help="the folder to write to")
    parser.add_lightning_class_args(MNISTDataModule, "data")
    options = parser.parse_args(args)
    if not options.format:
        raise InputError(f"--format is missing: give some of {', '.join(FORMATS)}")
    checkpoint = runs.find_checkpoint(options.ckpt_path, Path("runs"), or_pretrained=True)
    data = None
    if explicit := parser.parse_args(args, defaults=False).as_dict().get("data"):
        chosen = datasets.recorded_options(checkpoints.read(checkpoint), explicit)
        data = MNISTDataModule(**chosen)
    certificate = export_checkpoint(checkpoint, options.format, options.output, data=data)
    print(f"{checkpoint} -> {options.output}, compared on {certificate['n']:,} images", end=" ")
    print(f"({certificate['dataset']})")
    print(
        f"{'':<18}{'max |Δ|':>9}{'classes':>9}{'accuracy':>10}{'bytes':>11}  "
        f"{'sha256':<12}  verified by"
    )
    for name, row in certificate["files"].items():
        accuracy = f"{row['accuracy']:.4f}" if "accuracy" in row else "-"
        print(
            f"{name:<18}{row['max_difference']:>9.1e}{row['classes_differing']:>9}{accuracy:>10}"
            f"{row['bytes']:>11,}  {row['sha256'][:12]}  {row['verified_by']}"
        )
    if certificate["accuracy_left_out"]:
        print(f"without accuracies: {certificate['accuracy_left_out']}")
    return 0
