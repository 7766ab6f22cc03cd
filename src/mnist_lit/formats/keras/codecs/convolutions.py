"""Convolutions and the zeros around them.

Kernels are (H, W, I, O) in Keras and (O, I, H, W) in torch. Depthwise ones are (H, W, I, M), of
which output i·M + m is the m-th of input i, as in torch's groups.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import h5py
from torch import nn

from mnist_lit.formats.keras.builder import Affine, Array, Arrays, Builder, Map
from mnist_lit.formats.keras.chain import shown
from mnist_lit.formats.keras.codecs.activations import activate, take
from mnist_lit.formats.keras.codecs.codec import Outgoing, Unwritable, Written, filled, read_array
from mnist_lit.formats.keras.options import Options
from mnist_lit.formats.keras.sizes import Border, Pair, one_or_both, outputs, same


class Window(NamedTuple):
    """What convolutions and pools have in common, for height and width."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    same: bool
    last: bool | None

    def borders(self, values: Map) -> list[Border]:
        if not self.same:
            return [(0, 0), (0, 0)]
        sizes = (values.height, values.width)
        parts = zip(sizes, self.kernel, self.stride, self.dilation, strict=True)
        return [same(*part) for part in parts]

    def outputs(self, values: Map, to: Builder) -> Pair:
        sizes = (values.height, values.width)
        parts = zip(
            sizes, self.kernel, self.stride, self.dilation, self.borders(values), strict=True
        )
        height, width = (outputs(*part) for part in parts)
        if min(height, width) < 1:
            where = f"{values.height}×{values.width}"
            raise to.misfit(f"has a kernel {shown(self.kernel)} larger than its input {where}")
        return height, width


POINT = Window((1, 1), (1, 1), (1, 1), False, None)


def take_window(options: Options, kernel: str, stride: Any) -> Window:
    size = options.pair(kernel)
    return Window(
        size,
        options.pair("strides", size if stride is None else stride),
        options.pair("dilation_rate", 1),
        options.choice("padding", "valid", "same") == "same",
        options.channels_last(),
    )


def convolve(
    to: Builder,
    window: Window,
    arguments: dict[str, Any],
    read: Callable[[], Arrays],
    affine: Affine | None,
) -> None:
    """Add a convolution, and before it the zeros that its own padding can't give."""
    values = to.layout
    assert isinstance(values, Map)
    height, width = window.outputs(values, to)
    top_bottom, left_right = window.borders(values)
    padding: dict[str, Any] = {}
    if top_bottom[0] == top_bottom[1] and left_right[0] == left_right[1]:
        if window.same and (top_bottom[0] or left_right[0]):
            padding = {"padding": one_or_both((top_bottom[0], left_right[0]))}
    else:
        to.add("ZeroPad2d", {"padding": (*left_right, *top_bottom)})
    sizes = {"stride": window.stride, "dilation": window.dilation}
    more = {name: one_or_both(pair) for name, pair in sizes.items() if pair != (1, 1)}
    arguments = {
        "out_channels": arguments["out_channels"],
        "kernel_size": one_or_both(window.kernel),
        **more,
        **padding,
        **{name: value for name, value in arguments.items() if name != "out_channels"},
    }
    spec = to.add("Conv2d", arguments, read)
    to.folded(affine, spec)
    to.layout = Map(arguments["out_channels"], height, width, values.last)


def take_affine(to: Builder, window: Window) -> Affine | None:
    """Return the scale and offset that a convolution can take, or put what it can't before it."""
    values = to.map(window.last, keep_affine=True)
    padded = any(any(border) for border in window.borders(values))
    if to.affine and not (to.affine.is_scalar and not (padded and to.affine.shifts)):
        to.settle()
    return to.fold()


def read_conv(options: Options, to: Builder) -> None:
    filters, window = options.whole("filters"), take_window(options, "kernel_size", 1)
    groups, has_bias = options.whole("groups", 1), options.flag("use_bias", True)
    activation = take(options, to.version)
    options.finish()
    affine = take_affine(to, window)
    values = to.map(window.last, keep_affine=True)
    if values.channels % groups or filters % groups:
        raise to.misfit(f"has {groups} groups of {values.channels} channels")
    shapes = [("kernel", (*window.kernel, values.channels // groups, filters))]
    arrays = to.arrays([*shapes, ("bias", (filters,))] if has_bias else shapes)

    def read() -> Arrays:
        kernel = read_array(arrays[0]).transpose(3, 2, 0, 1)
        return filled(kernel, read_array(arrays[1]) if has_bias else None, affine)

    arguments: dict[str, Any] = {"out_channels": filters}
    arguments |= {"groups": groups} if groups > 1 else {}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    convolve(to, window, arguments, read, affine)
    activate(options, to, activation)


def _depthwise(
    to: Builder, window: Window, multiplier: int
) -> tuple[int, dict[str, Any], tuple[int, ...]]:
    """Return the outputs, the arguments and the kernel's shape of a depthwise convolution."""
    channels = to.map(window.last, keep_affine=True).channels
    count = channels * multiplier
    arguments: dict[str, Any] = {"out_channels": count}
    arguments |= {"groups": channels} if channels > 1 else {}
    return count, arguments, (*window.kernel, channels, multiplier)


def _depthwise_kernel(array: h5py.Dataset) -> Array:
    kernel = read_array(array).transpose(2, 3, 0, 1)
    return kernel.reshape(-1, 1, *kernel.shape[2:])


def read_depthwise(options: Options, to: Builder) -> None:
    window = take_window(options, "kernel_size", 1)
    multiplier = options.whole("depth_multiplier", 1)
    has_bias = options.flag("use_bias", True)
    activation = take(options, to.version)
    options.ignore("groups")  # of the class it is made from; it has as many as channels
    options.finish()
    affine = take_affine(to, window)
    count, arguments, shape = _depthwise(to, window, multiplier)
    shapes = [("depthwise_kernel", shape)]
    arrays = to.arrays([*shapes, ("bias", (count,))] if has_bias else shapes)

    def read() -> Arrays:
        bias = read_array(arrays[1]) if has_bias else None
        return filled(_depthwise_kernel(arrays[0]), bias, affine)

    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    convolve(to, window, arguments, read, affine)
    activate(options, to, activation)


def read_separable(options: Options, to: Builder) -> None:
    filters, window = options.whole("filters"), take_window(options, "kernel_size", 1)
    multiplier, has_bias = options.whole("depth_multiplier", 1), options.flag("use_bias", True)
    activation = take(options, to.version)
    options.ignore("groups")
    options.finish()
    affine = take_affine(to, window)
    count, arguments, shape = _depthwise(to, window, multiplier)
    shapes = [("depthwise_kernel", shape), ("pointwise_kernel", (1, 1, count, filters))]
    arrays = to.arrays([*shapes, ("bias", (filters,))] if has_bias else shapes)
    arguments |= {} if affine and affine.shifts else {"bias": False}

    def read_first() -> Arrays:
        return filled(_depthwise_kernel(arrays[0]), None, affine)

    def read() -> Arrays:
        kernel = read_array(arrays[1]).transpose(3, 2, 0, 1)
        return filled(kernel, read_array(arrays[2]) if has_bias else None, None)

    convolve(to, window, arguments, read_first, affine)
    more = {} if has_bias else {"bias": False}
    convolve(to, POINT, {"out_channels": filters} | more, read, None)
    activate(options, to, activation)


def _convolution(out: Outgoing) -> tuple[list[Written], dict[str, Any]]:
    """Return a layer of zeros where it takes one, and what convolutions have in common."""
    module = out.module
    assert isinstance(module, nn.Conv2d)
    if max(module.stride) > 1 and max(module.dilation) > 1:
        raise Unwritable("has a stride and a dilation, which Keras does not have together")
    padding = tuple(int(side) for side in module.padding)
    _, height, width = out.layer.input_shape
    parts = zip((height, width), module.kernel_size, module.stride, module.dilation, strict=True)
    is_same = any(padding) and [same(*part) for part in parts] == [(side, side) for side in padding]
    before = []
    if any(padding) and not is_same:
        before = [zeros((padding[0], padding[0]), (padding[1], padding[1]))]
    config = {
        "kernel_size": list(module.kernel_size),
        "strides": list(module.stride),
        "padding": "same" if is_same else "valid",
        "data_format": "channels_last",
        "dilation_rate": list(module.dilation),
        "activation": "linear",
        "use_bias": module.bias is not None,
    }
    return before, config


def bias(out: Outgoing) -> Arrays:
    return {"bias": out.weights["bias"]} if "bias" in out.weights else {}


def write_conv(out: Outgoing) -> list[Written]:
    before, config = _convolution(out)
    module = out.module
    assert isinstance(module, nn.Conv2d)
    # TensorFlow has no depthwise convolution of unequal strides.
    if module.groups == module.in_channels > 1 and len(set(module.stride)) == 1:
        arrays: Arrays = {}
        if out.weights:
            weight = out.weights["weight"]
            kernel = weight.reshape(module.groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
            arrays = {"depthwise_kernel": kernel} | bias(out)
        config["depth_multiplier"] = module.out_channels // module.groups
        return [*before, Written("DepthwiseConv2D", config, arrays)]
    arrays = {}
    if out.weights:
        arrays = {"kernel": out.weights["weight"].transpose(2, 3, 1, 0)} | bias(out)
    config |= {"filters": module.out_channels, "groups": module.groups}
    return [*before, Written("Conv2D", config, arrays)]


def read_zeros(options: Options, to: Builder) -> None:
    value = options.take("padding", [[1, 1], [1, 1]])
    last = options.channels_last()
    options.finish()
    sides = value if isinstance(value, list) else [value, value]
    pairs = [side if isinstance(side, list) else [side, side] for side in sides]
    if len(pairs) != 2 or not all(
        len(pair) == 2 and all(type(side) is int and 0 <= side <= 1000 for side in pair)
        for pair in pairs
    ):
        options.refuse(f"has padding {shown(value)}, not two pairs of whole numbers")
        pairs = [[0, 0], [0, 0]]
    values = to.map(last, keep_affine=True)
    if to.affine and (to.affine.shifts or not to.affine.is_scalar):
        to.settle()
    (top, bottom), (left, right) = pairs
    to.add("ZeroPad2d", {"padding": one_of_four((left, right, top, bottom))})
    height, width = values.height + top + bottom, values.width + left + right
    to.layout = Map(values.channels, height, width, values.last)


def one_of_four(padding: tuple[int, int, int, int]) -> Any:
    return padding[0] if len(set(padding)) == 1 else padding


def zeros(top_bottom: Border, left_right: Border) -> Written:
    config = {"padding": [list(top_bottom), list(left_right)], "data_format": "channels_last"}
    return Written("ZeroPadding2D", config, {})


def write_zeros(out: Outgoing) -> list[Written]:
    padding = out.module.padding
    assert isinstance(padding, tuple)
    left, right, top, bottom = padding
    return [zeros((top, bottom), (left, right))]
