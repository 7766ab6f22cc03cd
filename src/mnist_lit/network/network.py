"""The network as a PyTorch module, built from its value."""

import bisect
import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mnist_lit.errors import Argument, InputError
from mnist_lit.network import layers
from mnist_lit.network.architecture import Architecture, LayerSpec, Value

MAX_PARAMETERS = 50_000_000
MAX_MAP = 20_000_000  # numbers that a layer may give for one image: 80 MB
MIN_SIZE, MAX_SIZE = 8, 256


class Layer(NamedTuple):
    """A layer as tables and pictures show it; shapes are without the batch."""

    name: str
    kind: str
    arguments: Mapping[str, Any]
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]  # of the output
    parameters: int


class Network(nn.Sequential):
    """A network built from its value.

    Takes float images N×1×image_size×image_size with values in [0, 1] and returns log-probabilities
    N×num_classes. The children are the value's layers in its order, and a log-softmax. Weights are
    laid out channels-last, in which CPU convolutions run fastest.

    Args:
        num_classes: Number of classes, at least 2.
        network: What `Architecture.of` takes.
        image_size: Side of the images in pixels, 8 to 256.
        dropout: Replaces the rate of every Dropout of a named network.
        large: Whether more than 50 million parameters are meant.

    Attributes:
        architecture: The value.
        layers: The layers with their shapes, the log-softmax included.
        side: Only the upper-left square of this many pixels can reach an output. An image cropped
            to it gives the same answer and the same gradients. Of `notebook` it is 25, because
            three floors in 28→25→12→9→4→1 leave out the last rows and columns.

    Raises:
        InputError: The value isn't a network, or its layers don't fit together.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        network: Value = "notebook",
        image_size: int = 28,
        dropout: float | None = None,
        large: bool = False,
    ) -> None:
        architecture = Architecture.of(network, dropout=dropout)
        described = describe(architecture, num_classes, image_size, large=large)
        modules: OrderedDict[str, nn.Module] = OrderedDict(
            (layer.name, layers.build(layer.kind, layer.arguments, layer.input_shape, num_classes))
            for layer in described[:-1]
        )
        modules["log_softmax"] = nn.LogSoftmax(dim=1)
        super().__init__(modules)
        self.architecture = architecture
        self.num_classes = num_classes
        self.image_size = image_size
        self.layers = described
        self.side = _side(architecture, image_size)
        self._order = _order(described)
        if architecture.init == "keras":
            _start_as_keras(self)
        self.to(memory_format=torch.channels_last)

    def __getitem__(self, index: Any) -> Any:
        """Return a layer, or some of them as a chain."""
        return nn.Sequential(OrderedDict(self.named_children()))[index]

    def forward(self, images: Tensor) -> Tensor:
        """Run the layers, each max pool before the activations that it follows.

        An activation that never falls gives the same answer after the pool as before it, with a
        quarter of the work for a 2×2 pool.
        """
        values = images
        for name in self._order:
            values = self._modules[name](values)
        return values


def describe(
    architecture: Architecture, num_classes: int, image_size: int, *, large: bool = False
) -> list[Layer]:
    """Return the layers with shapes and numbers of parameters, without making the weights.

    Raises:
        InputError: The layers don't fit together, don't end with one number a class, or have more
            parameters than `large` allows.
    """
    if not (type(num_classes) is int and num_classes >= 2):
        raise InputError(Argument("num_classes", num_classes), "is out of range", "give at least 2")
    if not (type(image_size) is int and MIN_SIZE <= image_size <= MAX_SIZE):
        raise InputError(
            Argument("image_size", image_size),
            "is out of range",
            f"give {MIN_SIZE} to {MAX_SIZE}",
        )
    found: list[Layer] = []
    total = 0
    shape: tuple[int, ...] = (1, image_size, image_size)
    pairs = zip(architecture.names(), architecture.layers, strict=True)
    for number, (name, spec) in enumerate(pairs, 1):
        _check_input(number, spec, shape)
        with torch.device("meta"):
            module = layers.build(spec.kind, spec.arguments, shape, num_classes)
        count = sum(parameter.numel() for parameter in module.parameters())
        total += count
        if total > MAX_PARAMETERS and not large:
            raise InputError(
                layers.at(number, spec.kind),
                f"its {count:,} parameters make more than {MAX_PARAMETERS:,} in all",
                ("make the network smaller, or allow it by", Argument("large", True)),
            )
        output = _output_shape(number, spec, module, shape)
        if isinstance(module, nn.Conv2d) and is_miscomputed(module, shape, output):
            raise InputError(
                layers.at(number, spec.kind),
                f"its input is {shape_text(shape)}, its output {shape_text(output)}; with a "
                "horizontal stride PyTorch gives wrong answers there on a CPU",
                "give the same stride for both axes, or 1 for the horizontal one",
            )
        found.append(Layer(name, spec.kind, dict(spec.arguments), shape, output, count))
        shape = output
    _check_end(found, num_classes)
    return [*found, Layer("log_softmax", "LogSoftmax", {}, shape, shape, 0)]


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as tables and errors show it: 64×4×4."""
    return "×".join(map(str, shape))


def _check_input(number: int, spec: LayerSpec, shape: tuple[int, ...]) -> None:
    """Refuse an input that torch would take in another way, or refuse in other words."""
    at = layers.at(number, spec.kind)
    axes = layers.KINDS[spec.kind].axes
    if axes is not None and axes != len(shape):
        if spec.kind == "Linear":
            remedy = "put Flatten before it"
        elif spec.kind.startswith("BatchNorm"):
            remedy = f"use BatchNorm{2 if len(shape) == 3 else 1}d"
        elif spec.kind == "Dropout2d":
            remedy = "use Dropout"
        else:
            remedy = "put it before Flatten"
        raise InputError(at, f"its input is {shape_text(shape)}", remedy)
    groups = spec.arguments.get("groups", 1)
    if shape[0] % groups or spec.arguments.get("out_channels", groups) % groups:
        raise InputError(
            at,
            f"its input is {shape_text(shape)}, and {groups} groups do not divide its channels",
            "give groups that divide the input's channels and out_channels",
        )
    if spec.arguments.get("num_parameters", 1) not in (1, shape[0]):
        raise InputError(at, f"its input is {shape_text(shape)}", f"give num_parameters {shape[0]}")


def is_miscomputed(module: nn.Conv2d, shape: tuple[int, ...], output: tuple[int, ...]) -> bool:
    """Return whether PyTorch reads memory outside of a convolution's input.

    On a CPU and in the channels_last layout, PyTorch 2.14 (oneDNN 3.12) gave NaN for outputs of one
    column, of one input channel with a horizontal stride alone, and crashed where both input and
    kernel have one column and the input is padded. Of 5,000 random convolutions no other was wrong.
    """
    down, across = module.stride
    one_channel = shape[0] == down == output[2] == 1
    one_column = shape[2] == module.kernel_size[1] == 1 and module.padding != (0, 0)
    return across > 1 and (one_channel or one_column)


def _output_shape(
    number: int, spec: LayerSpec, module: nn.Module, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of a layer's output, from torch itself."""
    at = layers.at(number, spec.kind)
    try:
        output = _run(module, shape)
    except RuntimeError as error:
        assert "kernel_size" in spec.arguments, error
        kernel = shape_text(layers.pair(spec.arguments["kernel_size"]))
        dilated = " with its dilation" if "dilation" in spec.arguments else ""
        raise InputError(
            at,
            f"its input is {shape_text(shape)}, smaller than its kernel {kernel}{dilated}",
            "give a smaller kernel_size, add padding, or remove a pool before it",
        ) from error
    if math.prod(output) > MAX_MAP:
        raise InputError(
            at,
            f"its output would be {shape_text(output)}, {math.prod(output):,} numbers an image",
            "give fewer channels, or pool before it",
        )
    return output


def _run(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the output's shape, by running a module whose weights are on the meta device.

    It runs on a batch of no images, with zeros for weights that take no memory, so nothing is
    computed. The meta device would do for the input too, but PyTorch's kernels for it import a
    thousand modules at the first use, which takes a second.
    """
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    zeros = {name: torch.zeros((), device="cpu").expand(tensor.shape) for name, tensor in tensors}
    nothing = torch.empty(0, *shape, device="cpu")
    with torch.no_grad():
        output = torch.func.functional_call(module.eval(), zeros, (nothing,))
    return tuple(output.shape[1:])


def _check_end(found: list[Layer], num_classes: int) -> None:
    """Refuse a network whose output isn't one number a class, or that has nothing to learn."""
    last = found[-1]
    at = layers.at(len(found), last.kind)
    if last.shape != (num_classes,):
        if len(last.shape) == 1:
            remedy = "end with Linear, without a number"
        elif last.shape == (num_classes, 1, 1):
            remedy = "end with Flatten"
        else:
            remedy = "end with Flatten and Linear"
        raise InputError(
            at,
            f"the network ends with {shape_text(last.shape)}, and there are {num_classes} classes",
            remedy,
        )
    if not any(layer.parameters for layer in found):
        raise InputError(at, "the network has no weights", "end with Linear")


def _side(architecture: Architecture, image_size: int) -> int:
    """Return the smallest crop of the input that gives the first layers the same output.

    Those are the ones before the first that needs the whole of its input.
    """
    first = []
    shape: tuple[int, ...] = (1, image_size, image_size)
    for spec in architecture.layers:
        if not layers.is_local(spec.kind, spec.arguments):
            break
        with torch.device("meta"):
            first.append(layers.build(spec.kind, spec.arguments, shape, 1))
        shape = _run(first[-1], shape)

    def suffices(side: int) -> bool:
        cropped: tuple[int, ...] = (1, side, side)
        try:
            for module in first:
                cropped = _run(module, cropped)
        except RuntimeError:  # smaller than a kernel
            return False
        return cropped == shape

    return bisect.bisect_left(range(1, image_size), True, key=suffices) + 1


def _order(described: list[Layer]) -> tuple[str, ...]:
    """Return the names in the order in which they run: max pools before monotone activations."""
    order: list[Layer] = []
    for layer in described:
        place = len(order)
        if layer.kind in layers.MAX_POOLS:
            while place and layers.is_monotone(order[place - 1].kind, order[place - 1].arguments):
                place -= 1
        order.insert(place, layer)
    return tuple(layer.name for layer in order)


def _start_as_keras(network: nn.Module) -> None:
    for module in network.children():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.PReLU):
            nn.init.zeros_(module.weight)
