"""A network as one ONNX file with a dynamic batch: float images in, log-probabilities out.

The graph is written layer by layer rather than traced, so that it needs no more than operators of
opset 17, which onnxruntime has run since 1.12 and OpenCV reads too.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.network.layers import pair
from mnist_lit.network.network import Layer, Network

OPSET = 17
IR_VERSION = 8  # of onnx 1.12, the first with opset 17
NEEDS = InputError("ONNX", "needs the extra packages", 'python -m pip install "mnist-lit[export]"')


class Graph:
    """The nodes and arrays of a graph that is being written.

    Args:
        network: Whose layers they are.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []

    def add(self, layer: Layer, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; return its output's name."""
        from onnx import helper

        name = f"{layer.name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def array(self, layer: Layer, name: str, value: Any) -> str:
        """Append a constant array; return its name."""
        from onnx import numpy_helper

        name = f"{layer.name}.{name}"
        if all(array.name != name for array in self.arrays):
            self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, layer: Layer, value: float) -> str:
        return self.array(layer, f"{value:.6g}", np.array(value, np.float32))

    def weights(self, layer: Layer, *names: str) -> list[str]:
        """Append those of a layer's weights that it has; return their names."""
        module = self.module(layer)
        found = [(name, getattr(module, name)) for name in names]
        return [
            self.array(layer, name, value.detach().numpy())
            for name, value in found
            if value is not None
        ]

    def module(self, layer: Layer) -> Any:
        return self.network.get_submodule(layer.name)


def _plain(operator: str, **attributes: Any) -> "Writer":
    return lambda graph, layer, x: graph.add(layer, operator, x, **attributes)


def _leave_out(graph: Graph, layer: Layer, x: str) -> str:
    return x


def _convolution(graph: Graph, layer: Layer, x: str) -> str:
    module = graph.module(layer)
    weights = graph.weights(layer, "weight", "bias")
    return graph.add(
        layer, "Conv", x, *weights, kernel_shape=module.kernel_size, strides=module.stride,
        pads=module.padding * 2, dilations=module.dilation, group=module.groups,
    )  # fmt: skip


def _ends(layer: Layer, module: Any, begins: tuple[int, int]) -> tuple[int, int]:
    """Return the padding at the lower and right end that gives torch's own output size.

    Runtimes disagree on ONNX's `ceil_mode`, so it is never used.
    """
    kernels, strides = pair(module.kernel_size), pair(module.stride)
    first, second = (
        max(0, (out - 1) * stride + kernel - size - begin)
        for out, stride, kernel, size, begin in zip(
            layer.shape[1:], strides, kernels, layer.input_shape[1:], begins, strict=True
        )
    )
    return first, second


def _max_pool(graph: Graph, layer: Layer, x: str) -> str:
    module = graph.module(layer)
    begins = pair(module.padding)
    return graph.add(
        layer, "MaxPool", x, kernel_shape=pair(module.kernel_size), strides=pair(module.stride),
        pads=begins + _ends(layer, module, begins),
    )  # fmt: skip


def _average_pool(graph: Graph, layer: Layer, x: str) -> str:
    module = graph.module(layer)
    begins = pair(module.padding)
    ends = _ends(layer, module, begins)
    if module.count_include_pad and any(begins):
        # torch counts the padding, but not what `ceil_mode` adds beyond it.
        x = _pad(graph, layer, x, (*begins, *begins))
        ends = (max(0, ends[0] - begins[0]), max(0, ends[1] - begins[1]))
        begins = (0, 0)
    return graph.add(
        layer, "AveragePool", x, kernel_shape=pair(module.kernel_size),
        strides=pair(module.stride), pads=begins + ends,
    )  # fmt: skip


def _pad(graph: Graph, layer: Layer, x: str, sides: tuple[int, int, int, int]) -> str:
    """Pad with zeros: above, left, below, right."""
    above, left, below, right = sides
    pads = np.array([0, 0, above, left, 0, 0, below, right], np.int64)
    return graph.add(layer, "Pad", x, graph.array(layer, "pads", pads))


def _zero_pad(graph: Graph, layer: Layer, x: str) -> str:
    left, right, above, below = graph.module(layer).padding
    return _pad(graph, layer, x, (above, left, below, right))


def _batch_norm(graph: Graph, layer: Layer, x: str) -> str:
    module = graph.module(layer)
    if module.affine:
        start = graph.weights(layer, "weight", "bias")
    else:
        ones = np.ones(module.num_features, np.float32)
        start = [graph.array(layer, "weight", ones), graph.array(layer, "bias", 0 * ones)]
    statistics = graph.weights(layer, "running_mean", "running_var")
    return graph.add(layer, "BatchNormalization", x, *start, *statistics, epsilon=module.eps)


def _linear(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add(layer, "Gemm", x, *graph.weights(layer, "weight", "bias"), transB=1)


def _relu6(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add(layer, "Clip", x, graph.number(layer, 0), graph.number(layer, 6))


def _leaky_relu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add(layer, "LeakyRelu", x, alpha=graph.module(layer).negative_slope)


def _prelu(graph: Graph, layer: Layer, x: str) -> str:
    slopes = graph.module(layer).weight.detach().numpy()
    shape = (-1,) + (1,) * (len(layer.shape) - 1)
    return graph.add(layer, "PRelu", x, graph.array(layer, "weight", slopes.reshape(shape)))


def _elu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add(layer, "Elu", x, alpha=graph.module(layer).alpha)


def _gelu(graph: Graph, layer: Layer, x: str) -> str:
    """Write GELU in its parts: the operator came with opset 20."""

    def times(value: str, factor: float) -> str:
        return graph.add(layer, "Mul", value, graph.number(layer, factor))

    if graph.module(layer).approximate == "tanh":
        # A power rather than products, on which OpenCV 4.11 crashes.
        cube = graph.add(layer, "Pow", x, graph.number(layer, 3))
        inner = graph.add(layer, "Add", x, times(cube, 0.044715))
        curve = graph.add(layer, "Tanh", times(inner, math.sqrt(2 / math.pi)))
    else:
        curve = graph.add(layer, "Erf", times(x, math.sqrt(1 / 2)))
    share = graph.add(layer, "Add", curve, graph.number(layer, 1))
    return times(graph.add(layer, "Mul", x, share), 0.5)


def _silu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add(layer, "Mul", x, graph.add(layer, "Sigmoid", x))


# What writes a layer after the output named `x`, by the layer's kind; returns its own output.
Writer = Callable[[Graph, Layer, str], str]
WRITERS: dict[str, Writer] = {
    "Conv2d": _convolution,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _average_pool,
    "AdaptiveAvgPool2d": _plain("GlobalAveragePool"),
    "AdaptiveMaxPool2d": _plain("GlobalMaxPool"),
    "BatchNorm2d": _batch_norm,
    "BatchNorm1d": _batch_norm,
    "ZeroPad2d": _zero_pad,
    "Dropout": _leave_out,
    "Dropout2d": _leave_out,
    "Flatten": _plain("Flatten"),
    "Linear": _linear,
    "ReLU": _plain("Relu"),
    "ReLU6": _relu6,
    "LeakyReLU": _leaky_relu,
    "PReLU": _prelu,
    "ELU": _elu,
    "SELU": _plain("Selu"),
    "GELU": _gelu,
    "SiLU": _silu,
    "Tanh": _plain("Tanh"),
    "Sigmoid": _plain("Sigmoid"),
    "Hardsigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "Softplus": _plain("Softplus"),
    "Softsign": _plain("Softsign"),
    "LogSoftmax": _plain("LogSoftmax", axis=1),
}


def write(path: Path, network: Network, *, metadata: Mapping[str, Any]) -> None:
    """Write the network with input `images` and output `log_probabilities`.

    Images are float32 N×1×S×S, for the network's own image size S; the output is float32
    N×classes.

    Raises:
        InputError: The packages of the extra `export` are missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise NEEDS from error
    graph, name = Graph(network), "images"
    for layer in network.layers:
        name = WRITERS[layer.kind](graph, layer, name)
    graph.nodes[-1].output[0] = "log_probabilities"
    side = network.image_size
    float32 = onnx.TensorProto.FLOAT
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "network",
            [onnx.helper.make_tensor_value_info("images", float32, ["batch", 1, side, side])],
            [
                onnx.helper.make_tensor_value_info(
                    "log_probabilities", float32, ["batch", network.num_classes]
                )
            ],
            graph.arrays,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnist-lit",
    )
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the file's function from images to log-probabilities, run by onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise NEEDS from error
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (answer,) = session.run(["log_probabilities"], {"images": images.numpy()})
        return torch.from_numpy(answer)

    return run
