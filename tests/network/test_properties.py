"""What holds for every network: random ones against the same layers run plainly in their order."""

import copy
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn
from torch.nn import functional

from mnist_lit.network.architecture import Architecture
from mnist_lit.network.inference import feature_maps
from mnist_lit.network.network import Network
from networks import networks

SLOW = pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])
many = pytest.mark.parametrize("n", [30, SLOW])


def check(n: int, test: Callable[[Network], None]) -> None:
    """Run a property's test on `n` networks."""
    settings = hypothesis.settings(
        max_examples=n,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    settings(given(networks())(test))()


def outcome(network: nn.Module, images: Tensor, num_classes: int) -> Iterator[Tensor]:
    """Return answers, gradients and buffers of one step; dropout draws the same each time."""
    torch.manual_seed(2)
    answers = network(images)
    functional.nll_loss(answers, torch.arange(len(images)) % num_classes).backward()
    yield answers.detach()
    for parameter in network.parameters():
        yield torch.zeros(0) if parameter.grad is None else parameter.grad
    yield from network.buffers()


@many
def test_crop_and_order_change_neither_answers_nor_gradients(n: int) -> None:
    def test(network: Network) -> None:
        network = network.double()
        images = torch.rand(4, 1, network.image_size, network.image_size).double()
        cropped = images[..., : network.side, : network.side]
        for training in (False, True):
            network.train(training)
            plain = nn.Sequential(*copy.deepcopy(network).children()).train(training)
            expected = list(outcome(plain, images, network.num_classes))
            for given_images in (images, cropped):
                own = outcome(copy.deepcopy(network), given_images, network.num_classes)
                for found, wanted in zip(own, expected, strict=True):
                    # In float64, where batch norms of nearly constant maps lose some digits.
                    scale = float(wanted.abs().max()) + 1 if wanted.numel() else 1
                    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8 * scale)

    check(n, test)


@many
def test_shapes_are_those_of_a_pass(n: int) -> None:
    def test(network: Network) -> None:
        network = network.double()
        values = torch.zeros(2, 1, network.image_size, network.image_size).double()
        for layer, (name, module) in zip(network.layers, network.named_children(), strict=True):
            assert layer.input_shape == values.shape[1:]
            values = module(values)
            assert (layer.name, layer.kind) == (name, type(module).__name__)
            assert layer.shape == values.shape[1:]
            assert layer.parameters == sum(part.numel() for part in module.parameters())

    check(n, test)


@many
def test_the_value_and_the_names_hold_everything(n: int) -> None:
    def test(network: Network) -> None:
        network = network.double()
        again = Architecture.of(network.architecture.plain())
        assert again == network.architecture
        assert again.plain() == network.architecture.plain()
        names = [layer.name for layer in network.layers]
        assert len(set(names)) == len(names)
        other = Network(network.num_classes, network=again, image_size=network.image_size).double()
        other.load_state_dict(network.state_dict())
        images = torch.rand(2, 1, network.image_size, network.image_size).double()
        assert torch.equal(other.eval()(images), network.eval()(images))

    check(n, test)


@many
def test_every_convolution_has_feature_maps(n: int) -> None:
    def test(network: Network) -> None:
        image = torch.randint(256, (network.image_size,) * 2, dtype=torch.uint8).numpy()
        maps = feature_maps(network, image)
        convolutions = {layer.name: layer for layer in network.layers if layer.kind == "Conv2d"}
        assert maps.keys() == convolutions.keys()
        for name, found in maps.items():
            assert found.ndim == 3
            assert len(found) == convolutions[name].shape[0]

    check(n, test)
