"""What of Keras does not come over is named, every layer of it, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from keras import layers

import keras_chains
from mnist_lit.errors import Argument, InputError
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.formats.keras import writer
from mnist_lit.network.network import Network

pytestmark = pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")


def chain(*middle: Any, shape: tuple[int, ...] = (28, 28, 1)) -> Any:
    """A chain with a usual beginning and end."""
    keras.backend.clear_session()
    ends = (layers.Flatten(), layers.Dense(10, activation="softmax"))
    return keras.Sequential([layers.Input(shape), *middle, *ends])


def problem(model: Any, suffix: str = "keras") -> str:
    """Return why a model is refused, which is said in one line that begins with its file."""
    path = Path(f"model.{suffix}")
    model.save(path)
    with pytest.raises(InputError) as caught:
        keras_model.read(path)
    assert caught.value.subject == path and "\n" not in str(caught.value)
    return str(caught.value.problem)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "cropping": (lambda: layers.Cropping2D(2), "cropping2d (Cropping2D)"),
    "upsampling": (lambda: layers.UpSampling2D(), "up_sampling2d (UpSampling2D)"),
    "transpose": (lambda: layers.Conv2DTranspose(4, 3), "conv2d_transpose (Conv2DTranspose)"),
    "prelu": (lambda: layers.PReLU(), "p_re_lu (PReLU) has a weight per pixel"),
    "relu": (lambda: layers.ReLU(max_value=5), "re_lu (ReLU) has max_value 5"),
    "slope": (lambda: layers.ReLU(negative_slope=0.1), "re_lu (ReLU) has a negative_slope"),
    "threshold": (lambda: layers.ReLU(threshold=1), "re_lu (ReLU) has a threshold"),
    "pool": (
        lambda: layers.MaxPooling2D(2, strides=1, padding="same"),
        "max_pooling2d (MaxPooling2D) has a `same` padding",
    ),
    "activation": (lambda: layers.Conv2D(4, 3, activation="mish"), "conv2d (Conv2D) has activat"),
    "softmax": (lambda: layers.Softmax(), "softmax (Softmax) is a softmax of a map"),
    "axis": (lambda: layers.BatchNormalization(axis=1), "batch_normalization (BatchNormal"),
    "noise shape": (lambda: layers.Dropout(0.1, noise_shape=(None, 1, 1, 1)), "dropout (Dropout)"),
    "data format": (
        lambda: layers.Conv2D(4, 1, data_format="channels_first"),
        "conv2d (Conv2D) needs a picture with channels",
    ),
    "crop": (lambda: layers.RandomCrop(20, 20), "random_crop (RandomCrop) cuts the picture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layer_that_does_not_come_over(name: str) -> None:
    make, expected = REFUSED[name]
    assert expected in problem(chain(make()))


def test_every_layer_in_the_way_is_named() -> None:
    found = problem(
        chain(
            layers.Conv2D(4, 3, activation="mish"),
            layers.Cropping2D(1),
            layers.ReLU(max_value=2),
            layers.PReLU(),
        )
    )
    for name in ("conv2d", "cropping2d", "re_lu", "p_re_lu"):
        assert f" {name} (" in found
    assert "dense" not in found and "flatten" not in found


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((29, 22, 1), "29×22×1: not square"),
        ((28, 28, 3), "28×28×3: not greyscale"),
        ((4, 4, 1), "not 8 to 256"),
        ((300, 300, 1), "not 8 to 256"),
        ((785,), "785: not square"),
    ],
)
def test_input_that_is_no_square_picture(shape: tuple[int, ...], why: str) -> None:
    assert why in problem(chain(shape=shape))


@pytest.mark.parametrize("end", ["sigmoid", "relu", "tanh"])
def test_last_activation(end: str) -> None:
    keras.backend.clear_session()
    ends = [layers.Flatten(), layers.Dense(10, activation=end)]
    model = keras.Sequential([layers.Input((28, 28, 1)), *ends])
    assert f"dense (Dense) is the last activation and is {end}" in problem(model)


def test_one_output() -> None:
    keras.backend.clear_session()
    ends = [layers.Flatten(), layers.Dense(1)]
    assert "one output" in problem(keras.Sequential([layers.Input((28, 28, 1)), *ends]))


def test_branches() -> None:
    keras.backend.clear_session()
    inputs = layers.Input((28, 28, 1))
    first, second = (layers.Conv2D(4, 3, name=name)(inputs) for name in "ab")
    joined = layers.Flatten()(layers.Add(name="sum")([first, second]))
    found = problem(keras.Model(inputs, layers.Dense(10)(joined)))
    assert "sum (Add) joins 2 branches" in found and "leads into 2 branches" in found
    assert found.count("sum (Add)") == 1


def test_layer_used_twice() -> None:
    keras.backend.clear_session()
    inputs = layers.Input((28, 28, 1))
    shared = layers.Conv2D(1, 3, padding="same", name="shared")
    outputs = layers.Dense(10)(layers.Flatten()(shared(shared(inputs))))
    assert "shared (Conv2D) is used 2 times" in problem(keras.Model(inputs, outputs))


def test_hard_sigmoid_of_keras_2() -> None:
    """It is clip(0.2·x + 0.5) there, and clip(x/6 + 0.5) in Keras 3."""
    model = chain(layers.Activation("hard_sigmoid"))
    model.save("model.h5")
    keras_model.read("model.h5")
    for version in ("2.15.0", ""):
        with h5py.File("model.h5", "r+") as file:
            file.attrs["keras_version"] = version
        with pytest.raises(InputError) as caught:
            keras_model.read("model.h5")
        assert "activation (Activation) has hard_sigmoid of" in str(caught.value.problem)


def test_normalization_by_pixel_needs_a_dense() -> None:
    values = np.random.default_rng(0).random((784,)).astype(np.float32)
    normal = layers.Normalization(axis=-1, mean=values, variance=values + 0.1)
    keras.backend.clear_session()
    model = keras.Sequential([layers.Input((784,)), normal, layers.Dense(10)])
    model.save("model.keras")
    pixels = keras_chains.images(model)
    network = keras_model.read("model.keras").build()
    with torch.inference_mode():
        found = network(torch.from_numpy(pixels)).exp().numpy()
    expected = torch.from_numpy(model.predict(pixels.reshape(-1, 784), verbose=0)).softmax(1)
    assert abs(found - expected.numpy()).max() <= 1e-5
    convolved = [layers.Reshape((28, 28, 1)), layers.Conv2D(2, 3), layers.Flatten()]
    model = keras.Sequential([layers.Input((784,)), normal, *convolved, layers.Dense(10)])
    assert "conv2d (Conv2D) follows a Normalization with a value per pixel" in problem(model)


# The range of the pixels


def test_range_of_the_pixels() -> None:
    model = chain(layers.Conv2D(3, 3, activation="relu"))
    model.save("model.keras")
    pixels = keras_chains.images(model)
    expected = keras_chains.answers(model, pixels * 2 - 1)
    found = keras_model.read("model.keras", input_range=(-1, 1))
    assert [spec.kind for spec in found.network.layers[:2]] == ["Conv2d", "ReLU"]
    with torch.inference_mode():
        answers = found.build()(torch.from_numpy(pixels)).exp().numpy()
    assert abs(answers - expected).max() <= 1e-5


def test_rescaling_of_bytes_says_the_range() -> None:
    """A model that divides by 255 was trained on bytes, whether or not anyone says so."""
    model = chain(layers.Rescaling(1 / 127.5, offset=-1), layers.Conv2D(3, 3, padding="same"))
    model.save("model.keras")
    pixels = keras_chains.images(model)
    expected = keras_chains.answers(model, pixels * 255)
    for given in (None, (0, 255)):
        found = keras_model.read("model.keras", input_range=given)
        # Zeros around the map would be moved by the offset, so it becomes a layer in front.
        assert found.network.layers[0].arguments == {"out_channels": 1, "kernel_size": 1}
        assert found.rows[0].ours == ("conv1",) and found.input_range == (0, 255)
        with torch.inference_mode():
            answers = found.build()(torch.from_numpy(pixels)).exp().numpy()
        assert abs(answers - expected).max() <= 1e-5


@pytest.mark.parametrize("axis", [-1, None])
def test_normalization_of_bytes_says_the_range(axis: int | None) -> None:
    normal = layers.Normalization(axis=axis)
    normal.adapt(np.random.default_rng(1).integers(0, 256, (50, 28, 28, 1)).astype(np.float32))
    model = chain(normal, layers.Conv2D(3, 3, padding="same"))
    pixels = keras_chains.images(model)
    expected = keras_chains.answers(model, pixels * 255)
    for suffix in ("h5", "keras"):
        model.save(f"model.{suffix}")
        found = keras_model.read(f"model.{suffix}")
        assert found.input_range == (0, 255) and found.rows[0].ours == ("conv1",)
        with torch.inference_mode():
            answers = found.build()(torch.from_numpy(pixels)).exp().numpy()
        assert abs(answers - expected).max() <= 1e-5


def test_rescaling_is_folded_where_that_is_exact() -> None:
    chain(layers.Rescaling(1 / 255), layers.Conv2D(3, 3, padding="same")).save("model.keras")
    found = keras_model.read("model.keras")
    assert found.rows[0].note == "folded into conv1" and len(found.network.layers) == 3


@pytest.mark.parametrize("given", [(0.0, 0.0), (0.0, float("nan")), (1.0,)])
def test_range_that_is_none(given: tuple[float, float]) -> None:
    with pytest.raises(InputError) as caught:
        keras_model.read("model.keras", input_range=given)
    assert isinstance(caught.value.subject, Argument)


# Weights alone


@pytest.mark.parametrize("network", ["notebook", "small"])
def test_weights_alone_need_their_network(network: str) -> None:
    original = Network(7, network=network)
    writer.write(Path("model.keras"), original)
    model: Any = keras.models.load_model("model.keras")
    model.save_weights("model.weights.h5")
    found = keras_model.read("model.weights.h5", network=network)
    assert found.num_classes == 7 and found.network == original.architecture
    for name, value in original.state_dict().items():
        assert torch.equal(found.weights[name], value), name


def test_weights_of_another_network() -> None:
    """Arrays that no layer takes, and layers without arrays, are named."""
    writer.write(Path("model.keras"), Network(network="small"))
    model: Any = keras.models.load_model("model.keras")
    model.save_weights("model.weights.h5")
    with pytest.raises(InputError) as caught:
        keras_model.read("model.weights.h5")
    found = str(caught.value.problem)
    assert "conv2d (Conv2D) has 1 arrays in the file, expected 2" in found
    assert caught.value.remedy[1] == Argument("network")  # type: ignore[index]


def test_arrays_that_no_layer_takes() -> None:
    writer.write(Path("model.keras"), Network())
    model: Any = keras.models.load_model("model.keras")
    model.save_weights("model.weights.h5")
    with h5py.File("model.weights.h5", "r+") as file:
        file["layers/batch_normalization/vars/0"] = np.zeros(64, np.float32)
    with pytest.raises(InputError) as caught:
        keras_model.read("model.weights.h5")
    assert "batch_normalization holds an array that no layer takes" in str(caught.value.problem)


def test_network_of_a_file_that_describes_itself() -> None:
    writer.write(Path("model.keras"), Network())
    with pytest.raises(InputError) as caught:
        keras_model.read("model.keras", network="notebook")
    assert caught.value.subject == Argument("network", "notebook")
