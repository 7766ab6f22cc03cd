"""ONNX files: every kind of layer, in operators that older runtimes know."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from mnist_lit.formats import onnx as onnx_files
from mnist_lit.network.layers import KINDS
from mnist_lit.network.network import Network

CONVOLUTION = {"Conv2d": {"out_channels": 12, "kernel_size": 3}}
PADDED = {"kernel_size": 3, "stride": 2, "padding": 1}
NETWORKS: dict[str, list[Any]] = {
    "convolutions": [
        {"ZeroPad2d": [1, 0, 2, 3]},
        {"Conv2d": {"out_channels": 6, "kernel_size": [3, 2], "stride": [1, 2], "padding": [2, 1]}},
        "BatchNorm2d",
        {"PReLU": {"num_parameters": 6}},
        {"Conv2d": {"out_channels": 6, "kernel_size": 3, "dilation": 2, "bias": False}},
        {"Conv2d": {"out_channels": 6, "kernel_size": 2, "groups": 3}},
        {"BatchNorm2d": {"affine": False, "eps": 0.1}},
        "PReLU",
        {"Dropout2d": 0.5},
        "Flatten",
        "Linear",
    ],
    "pools": [
        {"MaxPool2d": {**PADDED, "ceil_mode": True}},
        {"AvgPool2d": {**PADDED, "ceil_mode": True}},
        {"AvgPool2d": {**PADDED, "ceil_mode": True, "count_include_pad": False}},
        "Flatten",
        "Linear",
    ],
    "more pools": [
        {"AvgPool2d": {**PADDED, "count_include_pad": True}},
        {"MaxPool2d": {"kernel_size": [2, 3], "stride": 2, "ceil_mode": True}},
        {"AvgPool2d": {"kernel_size": 3, "stride": 2, "ceil_mode": True}},
        "Flatten",
        "Linear",
    ],
    "mean of maps": [CONVOLUTION, {"AdaptiveAvgPool2d": 1}, "Flatten"],
    "maximum of maps": [CONVOLUTION, {"AdaptiveMaxPool2d": 1}, "Flatten"],
    "activations": [
        "Flatten",
        *[
            part
            for activation in (
                "ReLU", "ReLU6", {"LeakyReLU": 0.3}, {"ELU": 0.7}, "SELU", "GELU",
                {"GELU": "tanh"}, "SiLU", "Tanh", "Sigmoid", "Hardsigmoid", "Softplus",
                "Softsign", "PReLU", "BatchNorm1d", {"Dropout": 0.5},
            )
            for part in ({"Linear": 20}, activation)
        ],
        {"Linear": {"bias": False}},
    ],
}  # fmt: skip


def network(layers: Any, image_size: int = 21) -> Network:
    """Return a network whose weights and statistics are away from where they start."""
    torch.manual_seed(0)
    built = Network(12, network=layers, image_size=image_size)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        for weight in module.parameters(recurse=False):
            nn.init.normal_(weight, std=0.4)
    return built.eval()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("image_size", [20, 21])
def test_answers_of_onnxruntime(name: str, image_size: int) -> None:
    built = network(NETWORKS[name], image_size)
    onnx_files.write(Path("a.onnx"), built, metadata={})
    run = onnx_files.read(Path("a.onnx"))
    images = torch.rand(7, 1, image_size, image_size)
    with torch.inference_mode():
        expected = built(images)
    # Any batch will do. Probabilities may differ by what float32 sums round.
    for n in (1, 7):
        torch.testing.assert_close(run(images[:n]).exp(), expected[:n].exp(), atol=1e-5, rtol=0)


def test_every_kind_is_written() -> None:
    assert onnx_files.WRITERS.keys() == {*KINDS, "LogSoftmax"}
    tried = {layer.kind for layers in NETWORKS.values() for layer in network(layers).layers}
    assert tried == {*KINDS, "LogSoftmax"}


@pytest.mark.parametrize("name", ["notebook", "small"])
def test_what_older_runtimes_need(name: str) -> None:
    """onnxruntime has read IR version 8 and opset 17 since 1.12."""
    onnx_files.write(Path("a.onnx"), network(name, 28), metadata={"class_names": ["a", "é"]})
    model = onnx.load("a.onnx")
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert not model.functions
    session = onnxruntime.InferenceSession("a.onnx")
    (images,), (output,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.shape) == ("images", ["batch", 1, 28, 28])
    assert (output.name, output.shape) == ("log_probabilities", ["batch", 12])
    said = session.get_modelmeta().custom_metadata_map
    assert said == {"class_names": '["a", "\\u00e9"]'}
