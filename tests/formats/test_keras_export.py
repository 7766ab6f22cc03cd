"""Networks as Keras's files: real Keras loads, runs, evaluates and trains them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

import networks
from mnist_lit.errors import InputError
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.formats.keras import writer
from mnist_lit.formats.keras.codecs import CODECS, WRITERS
from mnist_lit.network.layers import KINDS
from mnist_lit.network.network import Network

QUICK = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example takes half a second, so that shrinking would take hours
)
MANY = settings(QUICK, max_examples=300)
# Keras can express every other layer, whatever its options.
UNWRITABLE = {"Conv2d", "MaxPool2d", "AvgPool2d", "GELU", "LeakyReLU"}
pytestmark = pytest.mark.filterwarnings("ignore:Argument `alpha` is deprecated")


def is_counted_twice(model: Any) -> bool:
    """Return whether Keras on PyTorch gives other answers than on TensorFlow.

    In a `same` average over a border that is odd, it counts the last row twice.
    """
    return any(
        isinstance(layer, keras.layers.AveragePooling2D)
        and layer.padding == "same"
        and max(layer.pool_size) > 2
        for layer in model.layers
    )


def refused_layers(error: InputError) -> set[str]:
    """Return the kinds of the layers that an error names."""
    _, _, listed = str(error.problem).partition(": ")
    return {part.split("(")[1].split(")")[0] for part in listed.split("; ")}


def is_trainable(network: Network, pixels: torch.Tensor, labels: np.ndarray[Any, Any]) -> bool:
    """Tell whether any weight has a gradient: a stride may pick nothing but padding."""
    torch.nn.functional.nll_loss(network(pixels), torch.from_numpy(labels)).backward()
    gradients = [weight.grad for weight in network.parameters()]
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def compare(network: Network, suffix: str) -> None:
    path = Path(f"model.{suffix}")
    try:
        writer.write(path, network)
    except InputError as error:
        assert refused_layers(error) <= UNWRITABLE, error
        event("refused")
        return
    again = keras_model.read(path)
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):  # of which Keras knows nothing
            assert torch.equal(again.weights[name], value), name
    side = network.image_size
    pixels = torch.rand(8, 1, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(pixels).exp().numpy()
        assert abs(again.build()(pixels).exp().numpy() - expected).max() <= 1e-5
    model: Any = keras.models.load_model(path)
    if is_counted_twice(model):
        return
    images = pixels.permute(0, 2, 3, 1).numpy()
    assert abs(model.predict(images, verbose=0) - expected).max() <= 1e-5
    labels = expected.argmax(1)
    labels[:2] = (labels[:2] + 1) % network.num_classes
    _, accuracy = model.evaluate(images, labels, verbose=0)
    assert accuracy == pytest.approx(0.75)
    before = model.get_weights()
    model.fit(images, labels, epochs=1, verbose=0)
    trained = any(
        not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)
    )
    assert trained or not is_trainable(network, pixels, labels)


def test_network_that_sees_nothing_but_padding() -> None:
    layers: list[Any] = [
        {"Conv2d": {"out_channels": 1, "kernel_size": 4, "stride": 3}},
        {"ZeroPad2d": [1, 3, 2, 3]},
        {"AvgPool2d": {"kernel_size": 1, "stride": [1, 3]}},
        "Flatten",
        {"Linear": {"bias": False}},
    ]
    network = Network(network=layers, num_classes=3, image_size=8).eval()
    assert not is_trainable(network, torch.rand(2, 1, 8, 8), np.array([0, 1]))
    compare(network, "h5")


@QUICK
@given(network=networks.networks(), suffix=st.sampled_from(["h5", "keras"]))
def test_random_networks(network: Network, suffix: str) -> None:
    compare(network, suffix)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@MANY
@given(network=networks.networks(), suffix=st.sampled_from(["h5", "keras"]))
def test_many_random_networks(network: Network, suffix: str) -> None:
    compare(network, suffix)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", ["notebook", "small"])
def test_named_networks(name: str, suffix: str) -> None:
    network = Network(network=name)
    networks.randomise(network, 1)
    compare(network.eval(), suffix)
    # The same network comes back, but for padding, which Keras calls `same`.
    assert keras_model.read(f"model.{suffix}").network.layers == network.architecture.layers


@pytest.mark.parametrize("kind", [*KINDS, "LogSoftmax"])
def test_every_layer_has_a_reader_and_a_writer(kind: str) -> None:
    assert kind in WRITERS
    assert any(kind in codec.writes for codec in CODECS.values())


def test_every_layer_that_cannot_be_written_is_named() -> None:
    value = [
        {"Conv2d": {"out_channels": 4, "kernel_size": 3}},
        {"MaxPool2d": {"kernel_size": 4, "padding": 2}},
        {"GELU": {"approximate": "tanh"}},
        {"AvgPool2d": {"kernel_size": 3, "padding": 1, "count_include_pad": False, "stride": 1}},
        {"MaxPool2d": {"kernel_size": 2, "stride": 2, "padding": 1}},
        "Flatten",
        "Linear",
    ]
    with pytest.raises(InputError) as caught:
        writer.check(Network(network=value))
    problem = str(caught.value.problem)
    assert "pool1 (MaxPool2d)" in problem and "gelu (GELU)" in problem
    assert "pool3 (MaxPool2d)" in problem and "pool2" not in problem


def test_what_is_written_stays_what_it_was() -> None:
    """The notebook's layers under Keras's own names, its activations inside them."""
    items = writer.convert(Network(network="notebook").layers)
    found = [(item.name, item.config.get("activation")) for item in items]
    assert found == [
        ("conv2d", "relu"),
        ("max_pooling2d", None),
        ("conv2d_1", "relu"),
        ("max_pooling2d_1", None),
        ("conv2d_2", "relu"),
        ("dropout", None),
        ("flatten", None),
        ("dense", "sigmoid"),
        ("dense_1", "softmax"),
    ]
