"""The network against the notebook's table, Keras's initialisation and plain numpy."""

import copy
import hashlib
import io
import math
import subprocess
import sys
from typing import Any

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


# The sha256 of all weights after `torch.manual_seed(0)`, as they were before networks were values.
STARTS = {"notebook": "b4dea11911e2e10f", "small": "23b3c3617610c8d0"}
# The order in which each network ran then; `small` has kept it.
RUNS = {
    "notebook": "conv1 pool1 relu1 conv2 pool2 relu2 conv3 relu3 dropout flatten dense1 sigmoid "
    "dense2 log_softmax",
    "small": "conv1 pool1 norm1 relu1 conv2 norm2 relu2 conv3 pool2 norm3 relu3 conv4 norm4 relu4 "
    "flatten dropout dense1 log_softmax",
}


@pytest.mark.parametrize("name", STARTS)
def test_weights_start_as_they_always_did(name: str) -> None:
    """A seed means the same weights for ever."""
    torch.manual_seed(0)
    digest = hashlib.sha256()
    for value in Network(network=name).state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == STARTS[name]


@pytest.mark.parametrize("name", RUNS)
def test_answers_and_gradients_are_bitwise_those_of_the_layers_by_hand(
    name: str, images: Tensor
) -> None:
    network = Network(network=name)
    layers = dict(copy.deepcopy(network).named_children())
    by_hand = nn.Sequential(*(layers[one] for one in RUNS[name].split()))
    results = []
    for model in (network, by_hand):
        torch.manual_seed(1)
        answers = model(images[..., : network.side, : network.side])
        functional.nll_loss(answers, torch.arange(6)).backward()
        results.append([answers, *(parameter.grad for parameter in model.parameters())])
    for found, wanted in zip(*results, strict=True):
        assert torch.equal(found, wanted)


def test_parameters_of_small() -> None:
    assert sum(parameter.numel() for parameter in Network(network="small").parameters()) == 84_810


def test_sides() -> None:
    assert Network().side == 25
    assert Network(network="small").side == 28  # its third layer is a batch norm


def local(kernel: int, **more: Any) -> dict[str, Any]:
    return {"Conv2d": {"out_channels": 2, "kernel_size": kernel} | more}


@pytest.mark.parametrize(
    "first, side",
    [
        ([local(3, stride=3)], 27),
        ([local(3, stride=[3, 1])], 28),  # 27 rows and 28 columns
        ([local(3, dilation=2, stride=4)], 25),
        ([local(3), {"MaxPool2d": 4}], 26),
        ([local(3), "PReLU", {"AvgPool2d": 4}], 26),
        ([{"MaxPool2d": {"kernel_size": 2, "stride": 5}}], 27),
        ([local(3), {"MaxPool2d": {"kernel_size": 4, "ceil_mode": True}}], 28),
        ([local(3), {"MaxPool2d": {"kernel_size": 4, "padding": 1}}], 28),
        ([local(3, padding=1), {"MaxPool2d": 5}], 28),
        ([{"ZeroPad2d": [1, 0, 0, 0]}, {"MaxPool2d": 5}], 28),
        ([{"Dropout": 0.5}, {"MaxPool2d": 5}], 28),
        (["BatchNorm2d", {"MaxPool2d": 5}], 28),
        # What pads later still gets the whole of its input.
        ([{"MaxPool2d": 5}, local(3, padding=1)], 25),
        ([{"MaxPool2d": 5}, "BatchNorm2d", {"MaxPool2d": 2}], 25),
    ],
)
def test_side_of_what_can_reach_an_output(first: list[Any], side: int) -> None:
    assert Network(network=[*first, "Flatten", "Linear"]).side == side


@pytest.mark.parametrize(
    "activation, moves",
    [
        ("ReLU", True),
        ("ReLU6", True),
        ("LeakyReLU", True),
        ({"LeakyReLU": -0.1}, False),
        ("ELU", True),
        ({"ELU": -1.0}, False),
        ("SELU", True),
        ("Tanh", True),
        ("Sigmoid", True),
        ("Hardsigmoid", True),
        ("Softplus", True),
        ("Softsign", True),
        ("PReLU", False),  # its slope is learnt, and may fall below zero
        ("GELU", False),
        ("SiLU", False),
    ],
)
@pytest.mark.parametrize("pool", [{"MaxPool2d": 2}, "AdaptiveMaxPool2d"])
def test_max_pools_run_before_activations_that_never_fall(
    activation: Any, moves: bool, pool: Any
) -> None:
    network = Network(network=[local(3), activation, pool, "Flatten", "Linear"])
    ran: list[str] = []
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(torch.zeros(1, 1, 28, 28))
    names = [layer.name for layer in network.layers]
    assert names == list(dict(network.named_children()))
    if moves:
        names[1], names[2] = names[2], names[1]
    assert ran == names


def test_a_pool_passes_several_activations_but_nothing_else() -> None:
    pool = {"MaxPool2d": 2}
    value = [local(3), "BatchNorm2d", "ReLU", "Tanh", pool, pool, {"AvgPool2d": 2}, "ReLU", pool]
    network = Network(network=[*value, "Flatten", "Linear"])
    ran: list[str] = []
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(torch.zeros(1, 1, 28, 28))
    expected = "conv1 norm1 pool1 pool2 relu1 tanh pool3 pool4 relu2 flatten dense1 log_softmax"
    assert ran == expected.split()


def test_inits() -> None:
    layers = [local(3), "PReLU", "BatchNorm2d", "Flatten", "Linear"]
    keras, torchs = (
        Network(network={"init": init, "layers": layers}).state_dict()
        for init in ("keras", "torch")
    )
    assert not keras["conv1.bias"].any()
    assert torchs["conv1.bias"].any()
    assert not keras["dense1.bias"].any()
    assert keras["prelu.weight"] == 0
    assert torchs["prelu.weight"] == 0.25
    assert (keras["norm1.weight"] == 1).all()


@pytest.mark.parametrize("image_size", [8, 13, 64, 256])
def test_other_image_sizes(image_size: int) -> None:
    value = [local(3), {"MaxPool2d": 2}, "Flatten", "Linear"]
    network = Network(3, network=value, image_size=image_size)
    assert network.image_size == image_size
    assert network(torch.zeros(2, 1, image_size, image_size)).shape == (2, 3)


def test_some_of_the_layers_are_a_chain(network: Network) -> None:
    first = network[:3]
    assert type(first) is nn.Sequential
    assert list(first.named_children()) == list(network.named_children())[:3]
    assert network[-1] is network.get_submodule("log_softmax")


def test_copies_and_pickles(network: Network, images: Tensor) -> None:
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    for other in (copy.deepcopy(network), torch.load(file, weights_only=False)):
        assert other.layers == network.layers
        assert other.architecture == network.architecture
        assert torch.equal(other(images), network(images))


@pytest.mark.parametrize("strict", [False, True])
def test_is_exported_with_any_number_of_images(
    network: Network, images: Tensor, strict: bool
) -> None:
    batch = torch.export.Dim("batch", min=1, max=1000)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},), strict=strict)
    assert torch.equal(program.module()(images[:4]), network(images[:4]))


def test_starting_loads_none_of_the_meta_device_kernels() -> None:
    code = (
        "import sys, mnist_lit.network.network as n; n.Network(); sys.exit('sympy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
