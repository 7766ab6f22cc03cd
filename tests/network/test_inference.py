"""From bytes to probabilities and feature maps."""

import numpy as np
import pytest
import torch

from mnist_lit.network import inference
from mnist_lit.network.network import Network


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(256, (7, 1, 28, 28), dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_input_is_scaled_and_the_bytes_are_kept(images: torch.Tensor, dtype: torch.dtype) -> None:
    before = images.clone()
    found = inference.to_input(images[..., :25, :25], dtype)
    assert found.dtype == dtype
    assert torch.equal(found, images[..., :25, :25].to(dtype) / 255)
    assert torch.equal(images, before)


def test_batches_make_no_difference(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network().eval()
    whole = inference.log_probabilities(network, images)
    monkeypatch.setattr(inference, "BATCH", 3)
    parts = inference.log_probabilities(network, images)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    found = inference.probabilities(network, images)
    torch.testing.assert_close(found.sum(1), torch.ones(7), rtol=0, atol=1e-6)
    assert torch.equal(found.log().argmax(1), whole.argmax(1))


def test_no_images_get_no_answers() -> None:
    found = inference.log_probabilities(Network().eval(), torch.zeros(0, 1, 28, 28).byte())
    assert found.shape == (0, 10)


def test_maps_of_the_notebook(images: torch.Tensor) -> None:
    network = Network().eval()
    maps = inference.feature_maps(network, images[0, 0].numpy())
    assert {name: found.shape for name, found in maps.items()} == {
        "conv1": (32, 12, 12),
        "conv2": (64, 4, 4),
        "conv3": (64, 1, 1),
    }
    values = inference.to_input(images[:1])
    with torch.inference_mode():
        for name in ("conv1", "pool1", "relu1"):
            values = network.get_submodule(name)(values)
    np.testing.assert_array_equal(maps["conv1"], values[0])


def test_maps_end_before_padding_and_global_pools(images: torch.Tensor) -> None:
    value = [
        {"Conv2d": {"out_channels": 2, "kernel_size": 3}},
        "BatchNorm2d",
        "Tanh",
        {"ZeroPad2d": 2},
        {"Conv2d": {"out_channels": 3, "kernel_size": 5}},
        "ReLU",
        "AdaptiveMaxPool2d",
        "Flatten",
        "Linear",
    ]
    maps = inference.feature_maps(Network(network=value).eval(), images[0, 0].numpy())
    shapes = {name: found.shape for name, found in maps.items()}
    assert shapes == {"conv1": (2, 26, 26), "conv2": (3, 26, 26)}
    assert np.abs(maps["conv1"]).max() < 1  # after tanh
    assert maps["conv2"].min() >= 0
