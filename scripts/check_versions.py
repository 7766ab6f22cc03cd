"""Which versions of other programs open what `export` writes: `make test-compat` prints the table.

Each program is installed in a virtual environment of its own, below the folder that is given; the
environments are kept, so that a second run takes a minute. Three networks are exported: the
notebook's, `small`, and one of the layers that versions disagree on.

What is checked: the file opens and gives the network's probabilities within 1e-5; in Keras, the
accuracy that `evaluate` reports is right and `fit` lowers the loss.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mnist_lit.formats import onnx
from mnist_lit.formats.keras import writer
from mnist_lit.network.network import Network

TOLERANCE = 1e-5
SIDE = 22
NETWORKS: dict[str, Any] = {
    "notebook": "notebook",
    "small": "small",
    "mixed": [
        {"ZeroPad2d": [0, 1, 0, 1]},
        {"Conv2d": {"out_channels": 6, "kernel_size": 3, "stride": 2}},
        "BatchNorm2d",
        "PReLU",
        {"Conv2d": {"out_channels": 12, "kernel_size": 3, "padding": 1, "groups": 6}},
        "ReLU6",
        {"MaxPool2d": {"kernel_size": 3, "stride": 2, "padding": 1}},
        {"LeakyReLU": 0.1},
        {"Dropout2d": 0.1},
        {"AvgPool2d": {"kernel_size": 2, "ceil_mode": True}},
        "SiLU",
        "Flatten",
        "BatchNorm1d",
        {"ELU": 0.5},
        {"Linear": 12},
        "GELU",
        "Linear",
    ],
}


class Program(NamedTuple):
    """A program in one version.

    Args:
        packages: What pip installs.
        check: The function of `CHECKS` that tries a file.
        suffixes: The files that it opens.
        alone: Whether it needs nothing of this environment; otherwise it shares its PyTorch.
    """

    packages: tuple[str, ...]
    check: str
    suffixes: tuple[str, ...]
    alone: bool = True


KERAS = ("h5", "keras")
OF_KERAS_3 = ("absl-py", "ml-dtypes", "namex", "optree", "rich")
PROGRAMS = {
    "Keras 2.12": Program(("tensorflow-cpu==2.12.*", "numpy<2"), "keras", KERAS),
    "Keras 2.15": Program(("tensorflow-cpu==2.15.*", "numpy<2"), "keras", KERAS),
    "Keras 3.0": Program(("keras==3.0.5", "dm-tree", *OF_KERAS_3), "keras", KERAS, False),
    "Keras 3.5": Program(("keras==3.5.0", *OF_KERAS_3), "keras", KERAS, False),
    "Keras, newest": Program(("keras", *OF_KERAS_3), "keras", KERAS, False),
    "onnxruntime 1.16": Program(("onnxruntime==1.16.*", "numpy<2"), "onnxruntime", ("onnx",)),
    "onnxruntime, newest": Program(("onnxruntime",), "onnxruntime", ("onnx",)),
    "OpenCV": Program(("opencv-python-headless",), "opencv", ("onnx",)),
}

# Run by each program's own interpreter, which has none of this package: file, then its answers.
CHECKS = """
import json, sys
import numpy as np

def keras(path, images, expected):
    try:
        from tensorflow import keras
    except ImportError:
        import keras
    model = keras.models.load_model(path)
    found = model.predict(images.transpose(0, 2, 3, 1), verbose=0)
    labels = expected.argmax(1)
    labels[::4] = (labels[::4] + 1) % 10
    accuracy = model.evaluate(images.transpose(0, 2, 3, 1), labels, verbose=0)[1]
    if abs(accuracy - 0.75) > 1e-6:
        raise ValueError(f"evaluate gives an accuracy of {accuracy}, not 0.75")
    losses = model.fit(images.transpose(0, 2, 3, 1), labels, epochs=5, verbose=0).history["loss"]
    if not losses[-1] < losses[0]:
        raise ValueError(f"fit does not lower the loss: {losses}")
    return found

def onnxruntime(path, images, expected):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.exp(session.run(None, {session.get_inputs()[0].name: images})[0])

def opencv(path, images, expected):
    import cv2
    network = cv2.dnn.readNetFromONNX(path)
    found = []
    for image in images:
        network.setInput(image[None])
        found.append(network.forward()[0].copy())
    return np.exp(np.stack(found))

check, path, answers = sys.argv[1:]
wanted = np.load(answers)
try:
    found = globals()[check](path, wanted["images"], wanted["probabilities"])
    said = {"difference": float(abs(found - wanted["probabilities"]).max())}
except Exception as error:
    said = {"error": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(said))
"""


def environment(folder: Path, name: str, program: Program) -> Path:
    """Return the interpreter of a program's environment, made where it isn't there yet."""
    home = folder / "".join(c if c.isalnum() else "-" for c in name.lower())
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, *([] if program.alone else ["--no-deps"]), *program.packages], check=True
        )
        if not program.alone:
            purelib = next(home.glob("lib/python*/site-packages"))
            (purelib / "zz_shared.pth").write_text(sysconfig.get_path("purelib"))
        (home / "installed").touch()
    return python


def export(folder: Path) -> None:
    """Write every network in every form, and its answers."""
    torch.manual_seed(0)
    for name, value in NETWORKS.items():
        side = SIDE if name == "mixed" else 28
        network = Network(10, network=value, image_size=side)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                    assert module.running_mean is not None and module.running_var is not None
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.3, 2)
            images = torch.rand(16, 1, side, side)
            probabilities = network.eval()(images).exp()
        np.savez(folder / f"{name}.npz", images=images, probabilities=probabilities)
        for suffix in KERAS:
            writer.write(folder / f"{name}.{suffix}", network)
        onnx.write(folder / f"{name}.onnx", network, metadata={})


def ask(python: Path, check: str, path: Path) -> str:
    """Return what a program says to a file: its largest difference, or why it doesn't open it."""
    environ = os.environ | {"KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": ""}
    environ.pop("PYTHONPATH", None)
    answers = path.with_suffix(".npz")
    done = subprocess.run(
        [python, "-c", CHECKS, check, path, answers], env=environ, capture_output=True, text=True
    )
    last = done.stdout.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return f"no: {done.stderr.strip().rpartition(chr(10))[2][:80]}"
    said = json.loads(last)
    if "error" in said:
        return "no: " + " ".join(said["error"].split())[:80]
    fits = said["difference"] <= TOLERANCE
    return f"{said['difference']:.0e}" if fits else f"no: differs by {said['difference']:.0e}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for the environments")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as work:
        export(Path(work))
        print("| program | file | " + " | ".join(NETWORKS) + " |")
        print("|---|---|" + "---|" * len(NETWORKS))
        for name, program in PROGRAMS.items():
            python = environment(folder, name, program)
            for suffix in program.suffixes:
                said = [
                    ask(python, program.check, Path(work, f"{net}.{suffix}")) for net in NETWORKS
                ]
                print(f"| {name} | `.{suffix}` | {' | '.join(said)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
