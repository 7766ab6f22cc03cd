"""Untrusted Keras files: nothing in them runs, no link is followed, memory stays bounded."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import Command
from mnist_lit import Network, import_keras, load_checkpoint
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import InputError
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.formats.keras import writer

OUTPUT = Path("imported.ckpt")
KERNEL = "model_weights/conv2d/conv2d/kernel"


def refused(path: str) -> str:
    """Return the one line by which a file is refused."""
    with pytest.raises(InputError) as caught:
        import_keras(path, OUTPUT)
    message = str(caught.value)
    assert message.startswith(path) and "\n" not in message and not OUTPUT.exists()
    return message


@pytest.fixture
def written() -> str:
    writer.write(Path("mnist.h5"), Network())
    return "mnist.h5"


def test_files_of_tf_keras() -> None:
    """What tf-keras 2.21 wrote, with the answers it gave; `tf_keras/make.py` made them."""
    with zipfile.ZipFile(Path(__file__).parent / "tf_keras" / "model.zip") as archive:
        archive.extractall()
    with zipfile.ZipFile("whole.keras", "w") as archive:
        for part in Path("model.keras").iterdir():
            archive.write(part, part.name)
    expected = np.load("answers.npz")
    images = torch.from_numpy(expected["images"]).permute(0, 3, 1, 2)
    for name in ("model.h5", "weights.h5", "whole.keras"):
        import_keras(name, OUTPUT)
        found = load_checkpoint(OUTPUT)(images).exp().detach().numpy()
        assert abs(found - expected["probabilities"]).max() <= 1e-5, name


def test_links(written: str) -> None:
    shutil.copy(written, "other.h5")
    for link in (h5py.ExternalLink("other.h5", f"/{KERNEL}"), h5py.SoftLink(f"/{KERNEL}")):
        with h5py.File(written, "r+") as file:
            del file[KERNEL]
            file[KERNEL] = link
        assert "kernel" in refused(written)


def test_array_in_another_file(written: str) -> None:
    Path("secret").write_bytes(bytes(4 * 4 * 4 * 32))
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 4, 1, 32), "f4", external=[("secret", 0, 2048)])
    assert "kernel" in refused(written)


def test_virtual_array(written: str) -> None:
    layout = h5py.VirtualLayout((4, 4, 1, 32), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", (4, 4, 1, 32))
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    assert "kernel" in refused(written)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (4, 4, 1, 1 << 30)])
def test_huge_declared_array(written: str, shape: tuple[int, ...]) -> None:
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, shape, "f4", chunks=tuple(min(n, 16) for n in shape))
    assert "kernel" in refused(written)


def test_circle(written: str) -> None:
    with h5py.File(written, "r+") as file:
        group = file["model_weights/conv2d"]
        group["loop"] = group
        group.attrs["weight_names"] = np.array([b"/".join([b"loop"] * 500)])
    refused(written)


def test_zip_bomb() -> None:
    with zipfile.ZipFile("bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(200_000_000))
        archive.writestr("model.weights.h5", b"")
    assert "config.json" in refused("bomb.keras")


def test_deep_description(written: str) -> None:
    with zipfile.ZipFile("deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000 + "]" * 100_000)
        archive.writestr("model.weights.h5", Path(written).read_bytes())
    refused("deep.keras")


def test_nothing_runs(written: str) -> None:
    """A Lambda layer holds Python code; what reads the file never looks at it."""
    with h5py.File(written, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        code = "__import__('pathlib').Path('canary').touch()"
        bad = {"class_name": "Lambda", "config": {"name": "lambda", "function": [code, None, None]}}
        config["config"]["layers"].insert(1, bad)
        file.attrs["model_config"] = json.dumps(config)
    assert "Lambda" in refused(written)
    assert not Path("canary").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), suffix=st.sampled_from(["h5", "keras"]))
def test_damaged(data: st.DataObject, suffix: str) -> None:
    """Whatever is wrong with a file, it is read or refused in one line."""
    whole = Path(f"whole.{suffix}")
    if not whole.exists():
        writer.write(whole, Network())
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(content), 6000) - 1))
        content[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = Path(f"damaged.{suffix}")
    path.write_bytes(content)
    try:
        keras_model.read(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_wrong_files(command: Command) -> None:
    assert "is not there" in refused("none.h5")
    Path("text.h5").write_text("no model")
    refused("text.h5")
    Path("empty.h5").touch()
    refused("empty.h5")
    with h5py.File("other.h5", "w") as file:
        file["x"] = 1
    refused("other.h5")
    for output in ("x.h5", "."):
        answer = command("import-keras", "other.h5", "--output", output)
        assert answer.code == 2 and "error: --output" in answer.err


def test_checkpoint_is_whole(written: str) -> None:
    import_keras(written, OUTPUT)
    checkpoint = checkpoints.read(OUTPUT)
    assert (checkpoint.epoch, checkpoint.content["global_step"]) == (0, 0)
    assert checkpoint.content["optimizer_states"][0]["state"] == {}
    torch.load(OUTPUT, weights_only=True)


def test_layout_of_an_archive() -> None:
    writer.write(Path("mnist.keras"), Network())
    with zipfile.ZipFile("mnist.keras") as archive:
        inner = archive.read("model.weights.h5")
    assert h5py.File(io.BytesIO(inner))["layers/conv2d/vars/0"].shape == (4, 4, 1, 32)


def test_same_padding_of_tensorflow() -> None:
    """TensorFlow puts the odd row after the map; `tf_keras/make_same.py` made the answers."""
    with zipfile.ZipFile(Path(__file__).parent / "tf_keras" / "same.zip") as archive:
        archive.extractall()
    expected = np.load("answers.npz")
    assert len(expected) == 14
    for name, probabilities in expected.items():
        network = keras_model.read(f"{name}.h5").build()
        side = network.image_size
        images = np.random.default_rng(0).random((4, 1, side, side), np.float32)
        with torch.inference_mode():
            found = network(torch.from_numpy(images)).exp().numpy()
        assert abs(found - probabilities).max() <= 1e-5, name
