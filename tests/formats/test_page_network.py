"""The page's network in a real browser against torch: every layer, random networks."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from helpers import REPOSITORY
from mnist_lit import Network
from mnist_lit.data import sample
from mnist_lit.data.published import Published
from mnist_lit.formats import page as html
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.network.inference import feature_maps, probabilities
from mnist_lit.network.layers import KINDS
from networks import ACTIVATIONS, GLOBAL_POOLS, ON_MAPS, ON_VECTORS, networks, randomise
from pages import Opened, answers, pretrained, write

# How far a probability may be from torch's, which computes in single precision.
TOLERANCE = 1e-4


def check_answers(page: Page, network: Network, images: torch.Tensor) -> None:
    expected = probabilities(network, images).numpy()
    found = answers(page, images[:, 0].numpy())
    assert abs(found - expected).max() <= TOLERANCE
    assert np.array_equal(found.argmax(1), expected.argmax(1))


def digits() -> torch.Tensor:
    return sample.load()["test"][0]


def test_answers_are_the_networks(opened: Opened) -> None:
    check_answers(opened(), pretrained(), digits()[::2])


def lenet5() -> Network:
    network = Network(network=REPOSITORY / "configs" / "networks" / "lenet5.yaml").eval()
    randomise(network, 0)
    return network


def small() -> Network:
    network = Network(network="small").eval()
    randomise(network, 0)
    return network


def with_batch_norm() -> Network:
    """A network that Keras saved, of which every value is random, the statistics too."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(6, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="tanh"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            rng.normal(0, 0.3, value.shape) if value.ndim > 1 else rng.uniform(0.5, 2, value.shape)
            for value in model.get_weights()
        ]
    )
    model.save("model.keras")
    return keras_model.read(Path("model.keras")).build()


@pytest.mark.mnist
@pytest.mark.parametrize("make", [small, lenet5, with_batch_norm])
def test_answers_to_test_images(
    opened: Opened, mnist_dir: Any, make: Callable[[], Network]
) -> None:
    images, _ = Published("mnist", str(mnist_dir)).read("test")
    network = make()
    write(network)
    check_answers(opened(), network, images[:1000])


@pytest.mark.slow
@pytest.mark.mnist
def test_answers_to_all_test_images(opened: Opened, mnist_dir: Any) -> None:
    images, _ = Published("mnist", str(mnist_dir)).read("test")
    assert len(images) == 10_000
    check_answers(opened(), pretrained(), images)


def test_every_layer_has_an_implementation(opened: Opened) -> None:
    kinds = set(opened().evaluate("Object.keys(LAYERS)"))
    assert kinds == KINDS.keys() | {"LogSoftmax"}
    drawn = {*ON_MAPS, *ON_VECTORS, *GLOBAL_POOLS, *ACTIVATIONS, "Flatten"}
    assert drawn == KINDS.keys(), "the random networks leave a layer out"


def run(page: Page, network: Network, images: np.ndarray) -> list[dict[str, Any]]:
    """Return what the page's script gives for another network than the page's own."""
    layers = [html._layer(network.get_submodule(layer.name), layer) for layer in network.layers]
    weights = {n: v for n, v in network.state_dict().items() if v.is_floating_point()}
    found: list[dict[str, Any]] = page.evaluate(
        """([layers, shapes, text, images]) => {
            const network = build(layers, readWeights(text, shapes));
            return images.map((image) => {
                const { probabilities, maps } = run(network, image);
                for (const name in maps) maps[name].values = Array.from(maps[name].values);
                return { probabilities, maps };
            });
        }""",
        [
            layers,
            {name: list(value.shape) for name, value in weights.items()},
            base64.b64encode(html._bytes(network)).decode(),
            [image.ravel().tolist() for image in images],
        ],
    )
    return found


def check(page: Page, network: Network, seed: int) -> None:
    """Compare probabilities and feature maps of random images."""
    side = network.image_size
    images = np.random.default_rng(seed).integers(0, 256, (3, side, side), np.uint8)
    images[0] = 0
    expected = probabilities(network, torch.from_numpy(images)[:, None]).numpy()
    found = run(page, network, images)
    assert abs(np.array([one["probabilities"] for one in found]) - expected).max() <= TOLERANCE
    maps = feature_maps(network, images[1])
    assert found[1]["maps"].keys() == maps.keys()
    for name, values in maps.items():
        channels, height, width = found[1]["maps"][name]["shape"]
        own = np.reshape(found[1]["maps"][name]["values"], (height, width, channels))
        largest = max(1, abs(values).max())
        assert abs(own.transpose(2, 0, 1) - values).max() <= TOLERANCE * largest


@pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_random_networks(opened: Opened, examples: int) -> None:
    page = opened()

    @seed(examples)
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(network=networks(), images=st.integers(0, 2**32 - 1))
    def compare(network: Network, images: int) -> None:
        check(page, network, images)

    compare()


POOL = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
# Every argument of every layer that changes an answer, for maps of 6×10×11.
CASES: list[Any] = [
    {"Conv2d": {"out_channels": 5, "kernel_size": 3}},
    {"Conv2d": {"out_channels": 4, "kernel_size": [2, 3], "bias": False, "groups": 2}},
    {"Conv2d": {"out_channels": 12, "kernel_size": 3, "groups": 6, "padding": 1}},
    {
        "Conv2d": {
            "out_channels": 2,
            "kernel_size": [2, 3],
            "stride": [2, 1],
            "padding": [3, 1],
            "dilation": [3, 2],
        }
    },
    {"MaxPool2d": 2},
    {"MaxPool2d": POOL},
    {"MaxPool2d": {"kernel_size": [2, 3], "stride": [1, 3], "padding": [1, 0]}},
    {"AvgPool2d": 3},
    {"AvgPool2d": POOL},
    {"AvgPool2d": POOL | {"count_include_pad": False}},
    {"AvgPool2d": {"kernel_size": [4, 2], "stride": [1, 3], "padding": [2, 0]}},
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "BatchNorm2d",
    {"BatchNorm2d": {"eps": 0.5, "affine": False}},
    {"ZeroPad2d": 2},
    {"ZeroPad2d": [1, 2, 0, 3]},
    "Dropout",
    "Dropout2d",
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    {"LeakyReLU": -0.5},
    "PReLU",
    {"PReLU": 6},
    "ELU",
    {"ELU": 0.3},
    "SELU",
    "GELU",
    {"GELU": "tanh"},
    "SiLU",
    "Tanh",
    "Sigmoid",
    "Hardsigmoid",
    "Softplus",
    "Softsign",
]


def test_each_layer(opened: Opened) -> None:
    """Each after a convolution, and before Flatten, BatchNorm1d and Linear, in every case."""
    page = opened()
    before = {"Conv2d": {"out_channels": 6, "kernel_size": [3, 2]}}
    for i, case in enumerate(CASES):
        network = Network(
            4, network=[before, case, "Flatten", "BatchNorm1d", "Linear"], image_size=12
        )
        randomise(network.eval(), i)
        # Values far from 0 on both sides, where activations differ most.
        with torch.no_grad():
            next(network.parameters()).mul_(4)
        check(page, network, i)
    kinds = {case if isinstance(case, str) else next(iter(case)) for case in CASES}
    assert kinds | {"Flatten", "BatchNorm1d", "Linear"} == KINDS.keys()


def large() -> Network:
    """Return four 3×3 convolutions for 64×64, of a size for characters."""
    layers: list[Any] = []
    for width in (32, 64, 64, 128):
        layers += [{"Conv2d": {"out_channels": width, "kernel_size": 3}}, "ReLU", {"MaxPool2d": 2}]
    torch.manual_seed(0)
    return Network(15, network=[*layers, "Flatten", "Linear"], image_size=64).eval()


def test_quick_enough_for_every_stroke(opened: Opened) -> None:
    network = large()
    write(network, class_names=[f"class {i}" for i in range(15)])
    page = opened()
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64), np.uint8)
    check_answers(page, network, torch.from_numpy(images)[:, None])
    start = time.perf_counter()
    answers(page, images)
    assert time.perf_counter() - start < 5
