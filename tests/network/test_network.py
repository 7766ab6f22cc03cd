"""The network against the notebook's table, Keras's initialisation and plain numpy."""

import hashlib
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mnist_lit.network.architecture import Architecture
from mnist_lit.network.network import Network

SHAPES = {
    "conv1": (32, 25, 25),
    "relu1": (32, 25, 25),
    "pool1": (32, 12, 12),
    "conv2": (64, 9, 9),
    "relu2": (64, 9, 9),
    "pool2": (64, 4, 4),
    "conv3": (64, 1, 1),
    "relu3": (64, 1, 1),
    "dropout": (64, 1, 1),
    "flatten": (64,),
    "dense1": (64,),
    "sigmoid": (64,),
    "dense2": (10,),
    "log_softmax": (10,),
}
PARAMETERS = {"conv1": 544, "conv2": 32_832, "conv3": 65_600, "dense1": 4_160, "dense2": 650}
# Weights, numbers coming in to and going out of a unit: a kernel's 16 places count.
FANS = {
    "conv1": (16 * 1, 16 * 32),
    "conv2": (16 * 32, 16 * 64),
    "conv3": (16 * 64, 16 * 64),
    "dense1": (64, 64),
    "dense2": (64, 10),
}

# Of the weights and statistics after seed 0, by the first version of each network.
STARTS = {"notebook": "b4dea11911e2e10f", "small": "d500ce087e889b25"}


@pytest.fixture
def network() -> Network:
    """A network in evaluation; its biases are not zero, so that leaving one out would show."""
    torch.manual_seed(0)
    network = Network().eval()
    for name in PARAMETERS:
        nn.init.normal_(network.get_parameter(f"{name}.bias"), std=0.1)
    return network


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def counts(network: Network) -> dict[str, int]:
    found = {
        name: sum(parameter.numel() for parameter in layer.parameters())
        for name, layer in network.named_children()
    }
    return {name: count for name, count in found.items() if count}


def test_output_shapes() -> None:
    shapes = {}
    values = torch.zeros(2, 1, 28, 28)
    for name, layer in Network().named_children():
        values = layer(values)
        shapes[name] = tuple(values.shape)
    assert shapes == {name: (2, *shape) for name, shape in SHAPES.items()}
    assert list(shapes) == list(SHAPES)


def test_parameters() -> None:
    network = Network()
    assert counts(network) == PARAMETERS
    assert sum(parameter.numel() for parameter in network.parameters()) == 103_786


@pytest.mark.parametrize("num_classes", [2, 26])
def test_other_number_of_classes(num_classes: int) -> None:
    network = Network(num_classes).eval()
    assert counts(network) == PARAMETERS | {"dense2": 65 * num_classes}
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, num_classes)


@pytest.mark.parametrize("name", FANS)
def test_weights_start_glorot_uniform(name: str) -> None:
    torch.manual_seed(0)
    weight = Network().get_parameter(f"{name}.weight").detach().double()
    limit = math.sqrt(6 / sum(FANS[name]))
    assert weight.abs().max() <= limit
    # Within 5 standard errors: of the mean, sd / √n; of the standard deviation, sd √(0.2 / n).
    sd, n = limit / math.sqrt(3), weight.numel()
    assert abs(weight.mean()) < 5 * sd / math.sqrt(n)
    assert abs(weight.std() - sd) < 5 * sd * math.sqrt(0.2 / n)


@pytest.mark.parametrize("name", FANS)
def test_biases_start_at_zero(name: str) -> None:
    assert not Network().get_parameter(f"{name}.bias").any()


def test_weights_are_channels_last() -> None:
    network = Network()
    for name in ("conv2", "conv3"):  # with conv1's one channel both layouts are the same
        weight = network.get_parameter(f"{name}.weight")
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()


def test_answers_log_probabilities(network: Network, images: Tensor) -> None:
    answer = network(images)
    assert answer.dtype == torch.float32
    # Each of the ten terms is off by some 1e-7 of itself.
    assert (answer.double().exp().sum(1) - 1).abs().max() < 1e-6


@torch.no_grad()
def test_crop_gives_the_same_answer(network: Network, images: Tensor) -> None:
    assert torch.equal(network(images[..., :25, :25]), network(images))
    assert not torch.equal(network(images[..., 1:26, 1:26]), network(images))


@torch.no_grad()
def test_pooling_first_is_the_notebooks_function(network: Network, images: Tensor) -> None:
    weights = network.state_dict()

    def conv(values: Tensor, name: str) -> Tensor:
        return functional.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def dense(values: Tensor, name: str) -> Tensor:
        return functional.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    values = functional.max_pool2d(functional.relu(conv(images, "conv1")), 2)
    values = functional.max_pool2d(functional.relu(conv(values, "conv2")), 2)
    values = functional.relu(conv(values, "conv3")).flatten(1)
    values = torch.sigmoid(dense(values, "dense1"))
    # The same numbers, chosen in another order.
    assert torch.equal(functional.log_softmax(dense(values, "dense2"), 1), network(images))


Array = NDArray[np.float64]


def conv(images: Array, weight: Array, bias: Array) -> Array:
    patches = np.lib.stride_tricks.sliding_window_view(images, weight.shape[2:], (2, 3))
    values: Array = np.einsum("nchwij,ocij->nohw", patches, weight, optimize=True)
    return values + bias[:, None, None]


def relu(values: Array) -> Array:
    return np.maximum(values, 0)


def pool(values: Array) -> Array:
    even = values[..., : values.shape[2] // 2 * 2, : values.shape[3] // 2 * 2]
    return np.maximum(
        np.maximum(even[..., ::2, ::2], even[..., ::2, 1::2]),
        np.maximum(even[..., 1::2, ::2], even[..., 1::2, 1::2]),
    )


@torch.no_grad()
def test_numpy_gives_the_same_answer(network: Network, images: Tensor) -> None:
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = weights.values()
    values = pool(relu(conv(images.double().numpy(), w1, b1)))
    values = pool(relu(conv(values, w2, b2)))
    values = relu(conv(values, w3, b3))[..., 0, 0]
    values = 1 / (1 + np.exp(-(values @ w4.T + b4)))
    logits = values @ w5.T + b5
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert expected.std(0).min() > 1e-3  # the images do not all get the same answer
    # In float64 here, in float32 there.
    np.testing.assert_allclose(network(images).numpy(), expected, rtol=0, atol=2e-6)


def test_dropout_in_training_only() -> None:
    network = Network()
    features = torch.ones(1, 64, 40, 40)
    torch.manual_seed(0)
    dropped = network.get_submodule("dropout")(features)
    assert set(dropped.unique().tolist()) == {0, 1.25}
    # 102,400 draws: 5 standard errors are 0.006.
    assert abs((dropped == 0).double().mean() - 0.2) < 0.006
    assert torch.equal(network.eval().get_submodule("dropout")(features), features)


def test_dropout_can_be_set(images: Tensor) -> None:
    network = Network(dropout=0.5)
    torch.manual_seed(0)
    assert set(network.get_submodule("dropout")(torch.ones(100)).tolist()) == {0, 2}
    without = Network(dropout=0)
    answer = without(images)
    assert torch.equal(answer, without.eval()(images))


def test_bare_network_is_the_notebooks() -> None:
    assert Network().architecture == Architecture.of("notebook")
    assert [layer.name for layer in Network().layers] == list(SHAPES)


@pytest.mark.parametrize(("name", "weights"), [("notebook", 103_786), ("small", 84_810)])
def test_named_networks_start_as_ever(name: str, weights: int) -> None:
    """The first run of this package drew these weights: a seed means the same network for ever."""
    torch.manual_seed(0)
    network = Network(network=name)
    state = {key: value for key, value in network.state_dict().items() if value.ndim}
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values()))
    assert sum(parameter.numel() for parameter in network.parameters()) == weights
    assert digest.hexdigest()[:16] == STARTS[name]


@pytest.mark.parametrize(("name", "side"), [("notebook", 25), ("small", 28)])
def test_only_the_upper_left_reaches_an_output(name: str, side: int) -> None:
    assert Network(network=name).side == side


def test_a_padding_keeps_the_whole_image() -> None:
    pad = {"Conv2d": {"out_channels": 2, "kernel_size": 4, "padding": 1}}
    bare = {"Conv2d": {"out_channels": 2, "kernel_size": 4}}
    rest = ["ReLU", {"MaxPool2d": 2}, "Flatten", "Linear"]
    assert Network(network=[pad, *rest]).side == 28
    assert Network(network=[bare, *rest]).side == 27
