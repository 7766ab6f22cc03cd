"""Figures of any network hold its own layers, weights and maps."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_lit import Network
from mnist_lit.colours import STYLES
from mnist_lit.network.inference import feature_maps
from mnist_lit.network.network import shape_text
from mnist_lit.report import network_figures
from mnist_lit.report.style import png, svg


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


LONG = [*[{"Conv2d": {"out_channels": 2, "kernel_size": 1}}, "Tanh"] * 60, "Flatten", "Linear"]
NETWORKS: dict[str, dict[str, Any]] = {
    "notebook": {},
    "26 classes": {"num_classes": 26},
    "small": {"num_classes": 3, "network": "small"},
    "64×64": {"network": "small", "image_size": 64},
    "dense": {"network": ["Flatten", {"Linear": 30}, "Tanh", "Linear"]},
    "long": {"network": LONG, "image_size": 8},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_architecture_is_the_live_network(name: str) -> None:
    network = Network(**NETWORKS[name])
    figure = network_figures.architecture(network.layers, STYLES["light"])
    found = texts(figure)
    total = sum(parameter.numel() for parameter in network.parameters())
    assert f"{total:,} parameters" in found
    for (child, module), layer in zip(network.named_children(), network.layers, strict=True):
        assert child in found and type(module).__name__ in found
        assert shape_text(layer.shape) in found and f"{layer.parameters:,}" in found
    # However long it is, no row is smaller than another's.
    assert figure.bbox_inches.height / (len(network.layers) + 2.4) == pytest.approx(0.4)


def test_texts_of_a_layer_do_not_overlap() -> None:
    wide = [{"Conv2d": {"out_channels": 1024, "kernel_size": 1}}, {"AdaptiveAvgPool2d": 1}]
    network = Network(network=[*wide, "Flatten", {"Linear": 4096}, "Linear"], image_size=128)
    figure = network_figures.architecture(network.layers, STYLES["light"])
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[3:-1]]
    for row in (boxes[i : i + 4] for i in range(0, len(boxes), 4)):
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(row))


def weights(*layers: Any, **options: Any) -> tuple[Network, network_figures.Filters | None]:
    network = Network(network=list(layers), **options)
    return network, network_figures.first_filters(network)


def conv(channels: int, kernel: int) -> dict[str, Any]:
    return {"Conv2d": {"out_channels": channels, "kernel_size": kernel}}


END = ("Flatten", "Linear")


def test_filters_of_the_first_convolution() -> None:
    network, found = weights(conv(32, 4), *END)
    assert found and found.convolution and found.total == 32
    own = network.state_dict()["conv1.weight"][:, 0].numpy()
    assert np.array_equal(found.weights, own)
    figure = network_figures.filters(found)
    drawn = figure.axes[0].images[0].get_array()
    assert drawn is not None and drawn.shape == (19, 39)
    assert np.array_equal(drawn[5:9, 0:4], own[8])  # the first of the second row
    assert figure.axes[0].get_title() == "the 32 filters of the first convolution, 4×4 each"


def test_of_many_filters_the_first_are_drawn() -> None:
    _, found = weights(conv(80, 3), *END)
    assert found and len(found.weights) == 64
    title = network_figures.filters(found).axes[0].get_title()
    assert title == "the first 64 of 80 filters of the first convolution, 3×3 each"


def test_a_convolution_that_scales_the_input_is_passed_over() -> None:
    network, found = weights(conv(1, 1), conv(6, 5), *END)
    second = network.get_parameter("conv2.weight")
    assert found and torch.equal(torch.tensor(found.weights), second[:, 0])


def test_dense_weights_over_pixels_are_tiles() -> None:
    network, found = weights("Flatten", {"Linear": 100}, "Tanh", "Linear", image_size=16)
    assert found and not found.convolution and found.weights.shape == (64, 16, 16)
    own = network.state_dict()["dense1.weight"][3].view(16, 16).numpy()
    assert np.array_equal(found.weights[3], own)
    title = network_figures.filters(found).axes[0].get_title()
    assert title == "the first 64 of 100 units of the first layer, 16×16 each"


def test_weights_of_large_images_make_no_large_file() -> None:
    network = Network(image_size=256, network=["Flatten", {"Linear": 64}, "ReLU", "Linear"])
    found = network_figures.first_filters(network)
    assert found and found.weights.shape == (64, 256, 256)
    text = svg(network_figures.filters(found), STYLES["light"], "filters")
    assert len(text) < 2_000_000


def test_first_weights_that_see_no_pixels_are_left_out() -> None:
    assert weights(conv(4, 1), conv(6, 5), *END)[1] is not None  # 1×1, and yet of pixels
    assert weights({"MaxPool2d": 2}, "Flatten", "Linear")[1] is not None  # pooled pixels
    scaled = ({"Conv2d": {"out_channels": 1, "kernel_size": 1}}, "Flatten", "Linear")
    assert weights(*scaled)[1] is not None


def titles(maps: dict[str, NDArray[np.float32]], **options: Any) -> list[str]:
    figure = network_figures.feature_maps(np.zeros((28, 28), np.uint8), maps, **options)
    png(figure)
    return [axes.get_title("left") for axes in figure.axes]


def zeros(channels: int, side: int) -> NDArray[np.float32]:
    return np.zeros((channels, side, side), np.float32)


def test_feature_maps() -> None:
    network = Network().eval()
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    maps = feature_maps(network, image)
    figure = network_figures.feature_maps(image, maps)
    first, second, *_ = (axes.images[0].get_array() for axes in figure.axes)
    assert first is not None and second is not None and np.array_equal(first, image)
    own = next(iter(maps.values()))
    assert np.array_equal(second[13:25, 0:12], own[16])  # the first of the second row
    found = [axes.get_title("left") for axes in figure.axes]
    assert found == ["the image", *(f"{name}: {len(m)} maps of {shape_text(m.shape[1:])}"
                                    for name, m in maps.items())]  # fmt: skip


@pytest.mark.parametrize("narrow", [False, True])
def test_of_many_maps_the_first_are_drawn(narrow: bool) -> None:
    maps = {"a": zeros(200, 20), "b": zeros(1, 5)}
    wanted = ["the image", "a: the first 64 of 200 maps of 20×20", "b: 1 map of 5×5"]
    assert titles(maps, narrow=narrow) == wanted


def test_of_many_convolutions_some_are_drawn() -> None:
    found = titles({f"layer {i}": zeros(40, 4) for i in range(40)})
    assert found[0] == "the image, 24 of 40 convolutions" and len(found) == 25
    assert found[1] == "layer 0: the first 16 of 40 maps of 4×4"
    assert found[-1] == "layer 39: the first 16 of 40 maps of 4×4"


def test_negative_maps_are_seen() -> None:
    maps = {"a": np.array([[[-3.0, 2.0], [0.0, 1.0]]], np.float32)}
    figure = network_figures.feature_maps(np.zeros((8, 8), np.uint8), maps)
    assert figure.axes[1].images[0].get_clim() == (-3, 2)
