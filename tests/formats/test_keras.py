"""Keras's files both ways, against real Keras on its PyTorch backend."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from mnist_lit.formats.keras.layers import LAYERS
from numpy.typing import NDArray

from helpers import Command
from mnist_lit import Network, import_keras, load_checkpoint
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError
from mnist_lit.formats.keras import files as files

OUTPUT = Path("imported.ckpt")
Array = NDArray[np.float32]


def notebook(classes: int = 10, **changes: Any) -> Any:
    """The notebook's own lines; a keyword replaces the layer of that place."""
    stack: dict[str, Any] = {
        "input": lambda: layers.Input((28, 28, 1)),
        "conv1": lambda: layers.Conv2D(32, (4, 4), activation="relu"),
        "pool1": lambda: layers.MaxPooling2D((2, 2)),
        "conv2": lambda: layers.Conv2D(64, (4, 4), activation="relu"),
        "pool2": lambda: layers.MaxPooling2D((2, 2)),
        "conv3": lambda: layers.Conv2D(64, (4, 4), activation="relu"),
        "dropout": lambda: layers.Dropout(0.25),
        "flatten": lambda: layers.Flatten(),
        "dense1": lambda: layers.Dense(64, activation="sigmoid"),
        "dense2": lambda: layers.Dense(classes, activation="softmax"),
    }
    keras.backend.clear_session()  # names are numbered from the start
    model = keras.models.Sequential([make() for make in (stack | changes).values()])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="session")
def images() -> Array:
    """10,000 images N×28×28×1 in [0, 1]: the embedded sample, and its images mirrored."""
    splits = sample.load()
    pixels = torch.cat([part for part, _ in splits.values()]).permute(0, 2, 3, 1).numpy()
    both: Array = np.concatenate([pixels, pixels[:, :, ::-1]]).astype(np.float32)
    both /= 255
    return both


@pytest.fixture(scope="session")
def labels() -> NDArray[np.int64]:
    found: NDArray[np.int64] = torch.cat([part for _, part in sample.load().values()]).numpy()
    return found


@pytest.fixture(scope="session")
def trained(images: Array, labels: NDArray[np.int64]) -> Any:
    keras.utils.set_random_seed(0)
    model = notebook(
        conv1=lambda: layers.Conv2D(32, (4, 4), activation="relu", name="a strange name"),
        dense2=lambda: layers.Dense(10, activation="softmax", name="out"),
    )
    model.fit(images[:3000], labels[:3000], epochs=2, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="session")
def answers(trained: Any, images: Array) -> Array:
    found: Array = trained.predict(images, batch_size=1000, verbose=0)
    return found


def functional(model: Any) -> Any:
    return keras.Model(model.inputs, model.outputs)


FORMS: dict[str, Callable[[Any], str]] = {
    "h5": lambda model: save(model, "model.h5"),
    "h5 without optimiser": lambda model: save(model, "model.h5", include_optimizer=False),
    "keras": lambda model: save(model, "model.keras"),
    "functional h5": lambda model: save(functional(model), "model.h5"),
    "functional keras": lambda model: save(functional(model), "model.keras"),
    "weights": lambda model: save_weights(model, "model.weights.h5"),
    "Keras 2 h5": lambda model: save_keras2(model, "model.h5"),
    "Keras 2 weights": lambda model: save_keras2(model, "weights.h5", whole=False),
}


def save(model: Any, name: str, **options: Any) -> str:
    model.save(name, **options)
    return name


def save_weights(model: Any, name: str) -> str:
    model.save_weights(name)
    return name


def save_keras2(model: Any, name: str, *, whole: bool = True) -> str:
    """Write what Keras 2.15 writes: names such as `conv2d/kernel:0`, and its description."""
    description = []
    with h5py.File(name, "w") as file:
        root = file.create_group("model_weights") if whole else file
        names = []
        for i, layer in enumerate(model.layers):
            config = layer.get_config()
            config["name"] = its = f"{type(layer).__name__.lower()}_{7 + i}"
            config["dtype"] = "float32"
            if i == 0:
                config["batch_input_shape"] = [None, 28, 28, 1]
            description.append({"class_name": type(layer).__name__, "config": config})
            names.append(its.encode())
            group = root.create_group(its)
            kinds = ["kernel", "bias"] if layer.weights else []
            group.attrs["weight_names"] = np.array([f"{its}/{k}:0".encode() for k in kinds], "S")
            for kind, value in zip(kinds, layer.get_weights(), strict=True):
                group[f"{its}/{kind}:0"] = value
        root.attrs["layer_names"] = names
        root.attrs["keras_version"] = b"2.15.0"
        if whole:
            config = {"name": "sequential_1", "layers": description}
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
    return name


@pytest.mark.parametrize("form", FORMS)
def test_import_gives_the_same_answers(
    trained: Any, images: Array, answers: Array, form: str
) -> None:
    path = FORMS[form](trained)
    import_keras(path, OUTPUT)
    with torch.inference_mode():
        module = load_checkpoint(OUTPUT)
        found = module(torch.from_numpy(images).permute(0, 3, 1, 2)).exp().numpy()
    assert len(found) == 10_000
    assert abs(found - answers).max() <= 1e-5
    assert np.array_equal(found.argmax(1), answers.argmax(1))
    assert module.hparams["dropout"] == (0.2 if "weights" in form else 0.25)


@pytest.mark.mnist
def test_import_on_mnist(command: Command, trained: Any, mnist_dir: Path) -> None:
    trained.save("model.h5")
    pixels, digits = Published("mnist", str(mnist_dir)).read("test")
    test = pixels.permute(0, 2, 3, 1).numpy().astype(np.float32) / 255
    _, accuracy = trained.evaluate(test, digits.numpy(), batch_size=1000, verbose=0)
    assert command("import-keras", "model.h5", "--output", OUTPUT).code == 0
    where = ("--data.data_dir", mnist_dir)
    answer = command("test", "--ckpt_path", OUTPUT, *where, "--output", "result.json")
    assert (answer.code, answer.err) == (0, "")
    result = json.loads(Path("result.json").read_text())
    assert result["correct"] == round(accuracy * 10_000) and result["n"] == 10_000


def test_training_goes_on(command: Command, trained: Any) -> None:
    trained.save("model.keras")
    assert command("import-keras", "model.keras", "--output", OUTPUT).code == 0
    answer = command(
        *("fit", "--ckpt_path", OUTPUT, "--data.source", "sample", "--trainer.max_epochs", 1)
    )
    assert (answer.code, answer.err) == (0, "")
    rows = Path("runs/mnist/version_0/metrics.csv").read_text().splitlines()
    assert len(rows) == 2
    # A network from scratch gets there in several epochs.
    assert float(rows[1].split(",")[4]) > 0.9


def test_other_numbers_of_classes(images: Array) -> None:
    for classes in (2, 26):
        model = notebook(classes)
        model.save("model.keras")
        import_keras("model.keras", OUTPUT)
        module = load_checkpoint(OUTPUT)
        assert module.hparams["num_classes"] == classes
        assert module.hparams["class_names"] == [str(n) for n in range(classes)]
        found = module(torch.from_numpy(images[:8]).permute(0, 3, 1, 2)).exp()
        assert found.shape == (8, classes)
        expected = torch.from_numpy(model.predict(images[:8], verbose=0))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_classes_that_the_data_has_not(command: Command, mnist_dir: Path) -> None:
    notebook(26).save("model.keras")
    import_keras("model.keras", OUTPUT)
    answer = command("test", "--ckpt_path", OUTPUT, "--data.data_dir", mnist_dir)
    assert answer.code == 2 and "9 and 16 more, and mnist has 0, 1" in answer.err


WRONG: dict[str, dict[str, Any]] = {
    "conv2d_1: kernel 3×3, expected 4×4": {
        "conv2": lambda: layers.Conv2D(64, 3, activation="relu"),
        "conv3": lambda: layers.Conv2D(64, 5, activation="relu"),
    },
    "conv2d: filters 16, expected 32": {"conv1": lambda: layers.Conv2D(16, 4, activation="relu")},
    "conv2d: padding same, expected valid": {
        "conv1": lambda: layers.Conv2D(32, 4, activation="relu", padding="same")
    },
    "conv2d: strides 2×2, expected 1×1": {
        "conv1": lambda: layers.Conv2D(32, 4, strides=2, activation="relu"),
        "pool1": lambda: layers.MaxPooling2D((1, 1)),
    },
    "conv2d: activation linear, expected relu": {"conv1": lambda: layers.Conv2D(32, 4)},
    "conv2d_2: use_bias False, expected True": {
        "conv3": lambda: layers.Conv2D(64, 4, activation="relu", use_bias=False)
    },
    "average_pooling2d: layer AveragePooling2D, expected MaxPooling2D": {
        "pool1": lambda: layers.AveragePooling2D(2)
    },
    "max_pooling2d: pool 3×3, expected 2×2": {"pool1": lambda: layers.MaxPooling2D(3, strides=2)},
    "dense: activation relu, expected sigmoid": {
        "dense1": lambda: layers.Dense(64, activation="relu")
    },
    "dense: units 32, expected 64": {"dense1": lambda: layers.Dense(32, activation="sigmoid")},
}


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("message", WRONG)
def test_what_differs_is_named(message: str, suffix: str) -> None:
    notebook(**WRONG[message]).save(f"model.{suffix}")
    with pytest.raises(InputError) as caught:
        import_keras(f"model.{suffix}", OUTPUT)
    assert str(caught.value) == f"model.{suffix}: {message}"
    assert not OUTPUT.exists()


def test_weights_alone_of_another_network() -> None:
    notebook(dense1=lambda: layers.Dense(32, activation="sigmoid")).save_weights("m.weights.h5")
    with pytest.raises(InputError, match=r"^m\.weights\.h5: dense: kernel 64×32, expected 64×64$"):
        import_keras("m.weights.h5", OUTPUT)


def test_input_of_another_shape() -> None:
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(32, 4, activation="relu")])
    model.save("model.h5")
    with pytest.raises(InputError, match="input 32×32×3, expected 28×28×1"):
        import_keras("model.h5", OUTPUT)


def test_dropout_may_be_missing(trained: Any) -> None:
    rest = [layer for layer in trained.layers if "dropout" not in layer.name]
    model = keras.Sequential([layers.Input((28, 28, 1)), *rest])
    model.save("model.keras")
    import_keras("model.keras", OUTPUT)
    assert load_checkpoint(OUTPUT).hparams["dropout"] == 0


def test_longer_and_shorter_models(trained: Any) -> None:
    keras.Sequential([layers.Input((28, 28, 1)), *trained.layers, layers.Dense(3)]).save("long.h5")
    with pytest.raises(InputError, match="layer Dense, expected no layer"):
        import_keras("long.h5", OUTPUT)
    keras.Sequential([layers.Input((28, 28, 1)), *trained.layers[:-1]]).save("short.h5")
    with pytest.raises(InputError, match="there is no Dense"):
        import_keras("short.h5", OUTPUT)


def test_branching_model(trained: Any) -> None:
    inputs = layers.Input((28, 28, 1))
    first = layers.Conv2D(32, 4, activation="relu", name="a")(inputs)
    second = layers.Conv2D(32, 4, activation="relu", name="b")(inputs)
    keras.Model(inputs, layers.Add(name="sum")([first, second])).save("model.keras")
    with pytest.raises(InputError, match="the layers are no plain stack"):
        import_keras("model.keras", OUTPUT)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("classes", [10, 3])
def test_export_opens_in_keras(
    images: Array, labels: NDArray[np.int64], suffix: str, classes: int
) -> None:
    torch.manual_seed(0)
    network = Network(classes, dropout=0.3).eval()
    path = Path(f"mnist.{suffix}")
    files.write(path, network)
    model = keras.models.load_model(path)
    assert [layer.name for layer in model.layers] == [name for _, name, _ in LAYERS]
    assert model.get_layer("dropout").rate == 0.3
    found = model.predict(images, batch_size=1000, verbose=0)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).exp().numpy()
    assert abs(found - expected).max() <= 1e-5
    assert np.array_equal(found.argmax(1), expected.argmax(1))

    _, accuracy = model.evaluate(images[:1000], labels[:1000] % classes, verbose=0)
    right = np.mean(expected[:1000].argmax(1) == labels[:1000] % classes)
    assert accuracy == pytest.approx(right, abs=1e-6)  # Keras's is float32
    history = model.fit(
        images[:1000], labels[:1000] % classes, epochs=2, batch_size=100, verbose=0
    ).history
    assert history["loss"][1] < history["loss"][0]
    again = Path(f"again.{suffix}")
    model.save(again)
    kernel = model.get_layer("conv2d").get_weights()[0]
    assert torch.equal(
        files.read(again).weights["conv1.weight"], torch.from_numpy(kernel).permute(3, 2, 0, 1)
    )


def test_export_reads_back_bitwise() -> None:
    network = Network(7, dropout=0.1)
    for suffix in ("h5", "keras"):
        files.write(Path(f"mnist.{suffix}"), network)
        content = files.read(f"mnist.{suffix}")
        assert content.dropout == 0.1
        for name, value in network.state_dict().items():
            assert torch.equal(content.weights[name], value), name


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


# Files from strangers: nothing in them runs, nothing is followed, memory stays bounded.


def refused(path: str) -> str:
    with pytest.raises(InputError) as caught:
        import_keras(path, OUTPUT)
    message = str(caught.value)
    assert message.startswith(f"{path}") and "\n" not in message and not OUTPUT.exists()
    return message


@pytest.fixture
def written() -> str:
    files.write(Path("mnist.h5"), Network())
    return "mnist.h5"


KERNEL = "model_weights/conv2d/conv2d/kernel"


def test_links(written: str) -> None:
    shutil.copy(written, "other.h5")
    for link in (h5py.ExternalLink("other.h5", f"/{KERNEL}"), h5py.SoftLink(f"/{KERNEL}")):
        with h5py.File(written, "r+") as file:
            del file[KERNEL]
            file[KERNEL] = link
        assert "has no plain entry kernel" in refused(written)


def test_array_in_another_file(written: str) -> None:
    Path("secret").write_bytes(bytes(4 * 4 * 4 * 32))
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 4, 1, 32), "f4", external=[("secret", 0, 2048)])
    assert "is no array of weights" in refused(written)


def test_virtual_array(written: str) -> None:
    layout = h5py.VirtualLayout((4, 4, 1, 32), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", (4, 4, 1, 32))
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    assert "is no array of weights" in refused(written)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (4, 4, 1, 1 << 30)])
def test_huge_declared_array(written: str, shape: tuple[int, ...]) -> None:
    with h5py.File(written, "r+") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, shape, "f4", chunks=tuple(min(n, 16) for n in shape))
    assert "is no array of weights" in refused(written)


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
    assert "config.json is too large" in refused("bomb.keras")


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
    assert "lambda: layer Lambda, expected Conv2D" in refused(written)
    assert not Path("canary").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), suffix=st.sampled_from(["h5", "keras"]))
def test_damaged(data: st.DataObject, suffix: str) -> None:
    """Whatever is wrong with a file, it is read or refused in one line."""
    whole = Path(f"whole.{suffix}")
    if not whole.exists():
        files.write(whole, Network())
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(content), 6000) - 1))
        content[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = Path(f"damaged.{suffix}")
    path.write_bytes(content)
    try:
        found = files.read(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        assert found.weights["conv1.weight"].shape == (32, 1, 4, 4)


def test_wrong_files(command: Command) -> None:
    assert "is not there" in refused("none.h5")
    Path("text.h5").write_text("no model")
    assert "is neither an HDF5 file (.h5) nor" in refused("text.h5")
    Path("empty.h5").touch()
    refused("empty.h5")
    with h5py.File("other.h5", "w") as file:
        file["x"] = 1
    assert "it holds no layers" in refused("other.h5")
    answer = command("test", "--ckpt_path", "other.h5")
    assert answer.code == 2 and "python -m mnist_lit import-keras other.h5" in answer.err
    for output in ("x.h5", "."):
        answer = command("import-keras", "other.h5", "--output", output)
        assert answer.code == 2 and "must be a file of its own that ends in .ckpt" in answer.err


def test_checkpoint_is_whole(trained: Any) -> None:
    trained.save("model.keras")
    import_keras("model.keras", OUTPUT)
    content = checkpoints.read(OUTPUT)
    assert (content["epoch"], content["global_step"]) == (0, 0)
    assert content["optimizer_states"][0]["state"] == {}
    torch.load(OUTPUT, weights_only=True)


def test_bytes_of_archive_are_checked() -> None:
    files.write(Path("mnist.keras"), Network())
    with zipfile.ZipFile("mnist.keras") as archive:
        inner = archive.read("model.weights.h5")
    content = io.BytesIO(inner)
    assert h5py.File(content)["layers/conv2d/vars/0"].shape == (4, 4, 1, 32)
