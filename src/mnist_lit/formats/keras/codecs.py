"""The table of codecs: each layer of Keras's that comes over or is written, both ways.

A reader takes a layer's configuration whole and adds its like to the network. A writer returns the
layer of Keras's that is a layer of the network, or says why there is none.

Kernels are (H, W, I, O) in Keras and (O, I, H, W) in torch; dense ones (I, O) and (O, I). Depthwise
ones are (H, W, I, M), of which output I·M + m is the m-th of input I, as in torch's groups.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
from torch import nn

from mnist_lit.formats.keras import activations
from mnist_lit.formats.keras.builder import Affine, Array, Arrays, Builder, Map, Pixels, Vector
from mnist_lit.formats.keras.chain import shown
from mnist_lit.formats.keras.options import Misfit, Options
from mnist_lit.formats.keras.sizes import Border, Pair, one_or_both, outputs, pool_outputs, same
from mnist_lit.network.network import Layer, shape_text

Reader = Callable[[Options, Builder], None]


class Written(NamedTuple):
    """A layer of Keras's, and its arrays by name."""

    kind: str
    config: dict[str, Any]
    arrays: dict[str, Array]


class Outgoing(NamedTuple):
    """A layer of the network on its way out."""

    layer: Layer
    module: nn.Module
    weights: Mapping[str, Array]  # without the layer's name; empty where only the layers are asked
    flattened: tuple[int, ...]  # the map C×H×W that its input vector was, or ()

    @property
    def classes(self) -> int:
        return self.layer.shape[0]


class Unwritable(Exception):
    """Keras has no layer like this one; the text reads on from the layer's name."""


Writer = Callable[[Outgoing], list[Written]]


class Codec(NamedTuple):
    """How a class of Keras's is read, and what it writes.

    Args:
        read: Takes a layer of the class.
        writes: The layers of torch.nn that come out as this class.
        write: Writes one of them.
    """

    read: Reader
    writes: tuple[str, ...] = ()
    write: Writer | None = None


# Convolutions


class _Window(NamedTuple):
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


def _window(options: Options, kernel: str, stride: Any) -> _Window:
    size = options.pair(kernel)
    return _Window(
        size,
        options.pair("strides", size if stride is None else stride),
        options.pair("dilation_rate", 1),
        options.choice("padding", "valid", "same") == "same",
        options.channels_last(),
    )


def _convolve(
    to: Builder,
    window: _Window,
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


def _take_affine(to: Builder, window: _Window, last: bool | None) -> Affine | None:
    """Return the scale and offset that a convolution can take, or put what it can't before it."""
    values = to.map(last, keep_affine=True)
    padded = any(any(border) for border in window.borders(values))
    if to.affine and not (to.affine.is_scalar and not (padded and to.affine.shifts)):
        to.settle()
    return to.fold()


def _kernel(array: h5py.Dataset) -> Array:
    return np.asarray(array[()], np.float32)


def _filled(kernel: Array, bias: Array | None, affine: Affine | None) -> Arrays:
    """Return torch's weights, O first, with the pixels' scale and offset taken in."""
    if affine is not None and not (affine.is_scalar and (affine.scale, affine.offset) == (1, 0)):
        exact = kernel.astype(np.float64)
        if affine.shifts:
            shift = np.sum(exact * affine.offset, axis=tuple(range(1, exact.ndim)))
            bias = (shift if bias is None else shift + bias).astype(np.float32)
        kernel = (exact * affine.scale).astype(np.float32)
    found = {"weight": np.ascontiguousarray(kernel)}
    return found if bias is None else found | {"bias": bias}


def _read_conv(options: Options, to: Builder) -> None:
    filters, window = options.whole("filters"), _window(options, "kernel_size", 1)
    groups, has_bias = options.whole("groups", 1), options.flag("use_bias", True)
    activation = activations.take(options, to.version)
    options.finish()
    affine = _take_affine(to, window, window.last)
    values = to.map(window.last, keep_affine=True)
    if values.channels % groups or filters % groups:
        raise to.misfit(f"has {groups} groups of {values.channels} channels")
    shapes = [("kernel", (*window.kernel, values.channels // groups, filters))]
    arrays = to.arrays([*shapes, ("bias", (filters,))] if has_bias else shapes)

    def read() -> Arrays:
        kernel = _kernel(arrays[0]).transpose(3, 2, 0, 1)
        return _filled(kernel, _kernel(arrays[1]) if has_bias else None, affine)

    arguments: dict[str, Any] = {"out_channels": filters}
    arguments |= {"groups": groups} if groups > 1 else {}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    _convolve(to, window, arguments, read, affine)
    _activate(options, to, activation)


def _depthwise(
    options: Options, to: Builder, window: _Window, multiplier: int, affine: Affine | None
) -> tuple[int, dict[str, Any], tuple[int, ...]]:
    """Return the outputs, the arguments and the kernel's shape of a depthwise convolution."""
    options.default("groups", 1, options.layer.config.get("groups"))  # Keras 2 writes what it likes
    channels = to.map(window.last, keep_affine=True).channels
    count = channels * multiplier
    arguments: dict[str, Any] = {"out_channels": count}
    arguments |= {"groups": channels} if channels > 1 else {}
    return count, arguments, (*window.kernel, channels, multiplier)


def _depthwise_kernel(array: h5py.Dataset) -> Array:
    kernel = _kernel(array).transpose(2, 3, 0, 1)
    return kernel.reshape(-1, 1, *kernel.shape[2:])


def _read_depthwise(options: Options, to: Builder) -> None:
    window, multiplier = _window(options, "kernel_size", 1), options.whole("depth_multiplier", 1)
    has_bias = options.flag("use_bias", True)
    activation = activations.take(options, to.version)
    options.ignore("groups")  # of the class it is made from; it has as many as channels
    options.finish()
    affine = _take_affine(to, window, window.last)
    count, arguments, shape = _depthwise(options, to, window, multiplier, affine)
    shapes = [("depthwise_kernel", shape)]
    arrays = to.arrays([*shapes, ("bias", (count,))] if has_bias else shapes)

    def read() -> Arrays:
        bias = _kernel(arrays[1]) if has_bias else None
        return _filled(_depthwise_kernel(arrays[0]), bias, affine)

    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    _convolve(to, window, arguments, read, affine)
    _activate(options, to, activation)


def _read_separable(options: Options, to: Builder) -> None:
    filters, window = options.whole("filters"), _window(options, "kernel_size", 1)
    multiplier, has_bias = options.whole("depth_multiplier", 1), options.flag("use_bias", True)
    activation = activations.take(options, to.version)
    options.ignore("groups")
    options.finish()
    affine = _take_affine(to, window, window.last)
    count, arguments, shape = _depthwise(options, to, window, multiplier, affine)
    shapes = [("depthwise_kernel", shape), ("pointwise_kernel", (1, 1, count, filters))]
    arrays = to.arrays([*shapes, ("bias", (filters,))] if has_bias else shapes)
    arguments |= {} if affine and affine.shifts else {"bias": False}
    _convolve(to, window, arguments, lambda: _filled(_depthwise_kernel(arrays[0]), None, affine), affine)

    def read() -> Arrays:
        kernel = _kernel(arrays[1]).transpose(3, 2, 0, 1)
        return _filled(kernel, _kernel(arrays[2]) if has_bias else None, None)

    point = _Window((1, 1), (1, 1), (1, 1), False, window.last)
    _convolve(
        to, point, {"out_channels": filters} | ({} if has_bias else {"bias": False}), read, None
    )
    _activate(options, to, activation)


def _convolution(out: Outgoing) -> tuple[list[Written], dict[str, Any]]:
    """Return a layer of zeros where it takes one, and what convolutions have in common."""
    module = out.module
    assert isinstance(module, nn.Conv2d)
    padding = tuple(int(side) for side in module.padding)
    _, height, width = out.layer.input_shape
    parts = zip((height, width), module.kernel_size, module.stride, module.dilation, strict=True)
    is_same = any(padding) and [same(*part) for part in parts] == [(side, side) for side in padding]
    before = []
    if any(padding) and not is_same:
        before = [_zeros((padding[0], padding[0]), (padding[1], padding[1]))]
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


def _bias(out: Outgoing) -> Arrays:
    return {"bias": out.weights["bias"]} if "bias" in out.weights else {}


def _write_conv(out: Outgoing) -> list[Written]:
    before, config = _convolution(out)
    module = out.module
    assert isinstance(module, nn.Conv2d)
    if module.groups == module.in_channels > 1:
        arrays: Arrays = {}
        if out.weights:
            weight = out.weights["weight"]
            kernel = weight.reshape(module.groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
            arrays = {"depthwise_kernel": kernel} | _bias(out)
        config["depth_multiplier"] = module.out_channels // module.groups
        return [*before, Written("DepthwiseConv2D", config, arrays)]
    arrays = {}
    if out.weights:
        arrays = {"kernel": out.weights["weight"].transpose(2, 3, 1, 0)} | _bias(out)
    config |= {"filters": module.out_channels, "groups": module.groups}
    return [*before, Written("Conv2D", config, arrays)]


# Zeros


def _read_zeros(options: Options, to: Builder) -> None:
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


def _zeros(top_bottom: Border, left_right: Border) -> Written:
    config = {"padding": [list(top_bottom), list(left_right)], "data_format": "channels_last"}
    return Written("ZeroPadding2D", config, {})


def _write_zeros(out: Outgoing) -> list[Written]:
    padding = out.module.padding
    assert isinstance(padding, tuple)
    left, right, top, bottom = padding
    return [_zeros((top, bottom), (left, right))]


# Pools


def _pool_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        window = _window(options, "pool_size", None)
        options.finish()
        values = to.map(window.last)
        borders = window.borders(values)
        height, width = window.outputs(values, to)
        arguments: dict[str, Any] = {"kernel_size": one_or_both(window.kernel)}
        if window.stride != window.kernel:
            arguments["stride"] = one_or_both(window.stride)
        # Torch pads both sides alike; what Keras has more after the map, ceil_mode lets stand out.
        before = (borders[0][0], borders[1][0])
        if any(before):
            arguments["padding"] = one_or_both(before)
        if borders != [(side, side) for side in before]:
            arguments["ceil_mode"] = True
        if kind == "AvgPool2d" and window.same and any(map(any, borders)):
            arguments["count_include_pad"] = False
        parts = zip((values.height, values.width), window.kernel, window.stride, before, strict=True)
        found = tuple(pool_outputs(*part, "ceil_mode" in arguments) for part in parts)
        if found != (height, width):
            raise to.misfit("has a `same` padding that torch's pools can't express")
        to.add(kind, arguments)
        to.layout = Map(values.channels, height, width, values.last)

    return read


def _write_pool(out: Outgoing) -> list[Written]:
    module: Any = out.module
    kernel, stride, padding = (_pair(v) for v in (module.kernel_size, module.stride, module.padding))
    _, *sizes = out.layer.input_shape
    plain = [(size - k) // s + 1 for size, k, s in zip(sizes, kernel, stride, strict=True)]
    borders = [same(*part) for part in zip(sizes, kernel, stride, strict=True)]
    counted = isinstance(module, nn.AvgPool2d) and module.count_include_pad
    before: list[Written] = []
    if padding == (0, 0) and list(out.layer.shape[1:]) == plain:
        how = "valid"
    elif (
        tuple(border[0] for border in borders) == padding
        and list(out.layer.shape[1:]) == [-(-n // s) for n, s in zip(sizes, stride, strict=True)]
        and not (counted and any(padding))
    ):
        how = "same"
    elif counted and list(out.layer.shape[1:]) == [
        (size + 2 * p - k) // s + 1
        for size, k, s, p in zip(sizes, kernel, stride, padding, strict=True)
    ]:
        how = "valid"
        before = [_zeros((padding[0], padding[0]), (padding[1], padding[1]))]
    else:
        mode = " with ceil_mode" if module.ceil_mode else ""
        raise Unwritable(
            f"has padding {shape_text(padding)}{mode}, which Keras's pools do not have"
        )
    config = {
        "pool_size": list(kernel),
        "strides": list(stride),
        "padding": how,
        "data_format": "channels_last",
    }
    kind = "MaxPooling2D" if isinstance(module, nn.MaxPool2d) else "AveragePooling2D"
    return [*before, Written(kind, config, {})]


def _pair(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def _global_pool_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        last, keep = options.channels_last(), options.flag("keepdims", False)
        options.finish()
        values = to.map(last)
        to.add(kind)
        to.layout = Map(values.channels, 1, 1, values.last)
        if not keep:
            to.add("Flatten")
            to.layout = Vector(values.channels)

    return read


def _write_global_pool(out: Outgoing) -> list[Written]:
    kind = "Average" if isinstance(out.module, nn.AdaptiveAvgPool2d) else "Max"
    config = {"data_format": "channels_last", "keepdims": True}
    return [Written(f"Global{kind}Pooling2D", config, {})]


# Shapes


def _read_flatten(options: Options, to: Builder) -> None:
    last = options.channels_last()
    options.finish()
    values = to.layout
    if isinstance(values, Map):
        to.add("Flatten")
        # A Flatten of channels that come first puts them last before it flattens.
        reordered = values.last or last is False
        size = values.channels * values.height * values.width
        order = (values.height, values.width, values.channels) if reordered else None
        to.layout = Vector(size, order if values.channels > 1 and size > values.channels else None)
        to.flat = options
    elif isinstance(values, Pixels):
        to.flattened_by = to.current
        to.layout = Pixels((math.prod(values.shape),))


def _read_reshape(options: Options, to: Builder) -> None:
    target = options.take("target_shape", None)
    options.finish()
    size = math.prod(to.shape)
    if not isinstance(target, list) or not all(
        type(side) is int and -1 <= side <= 10_000_000 for side in target
    ):
        options.refuse(f"has target_shape {shown(target)}")
        raise Misfit
    if target.count(-1) == 1:
        rest = math.prod(side for side in target if side != -1)
        target = [size // rest if side == -1 and rest else side for side in target]
    if math.prod(target) != size or -1 in target:
        raise to.misfit(f"has target_shape {shown(target)} of an input {shown(to.shape)}")
    if isinstance(to.layout, Pixels):
        if len(target) == 1:
            to.flattened_by = to.current
        to.layout = Pixels(tuple(target))
    elif len(target) == 1 and isinstance(to.layout, Map):
        values = to.layout
        to.add("Flatten")
        order = (values.height, values.width, values.channels) if values.last else None
        to.layout = Vector(size, order if values.channels > 1 and size > values.channels else None)
        to.flat = options
    elif tuple(target) != to.shape:
        raise to.misfit(f"turns {shown(to.shape)} into {shown(target)}: only the input can be")


# Dense


def _read_dense(options: Options, to: Builder) -> None:
    units, has_bias = options.whole("units"), options.flag("use_bias", True)
    activation = activations.take(options, to.version)
    options.finish()
    if isinstance(to.layout, Map):
        _read_dense_of_map(to, units, has_bias)
        _activate(options, to, activation)
        return
    values = to.vector(keep_affine=True)
    if to.affine and not to.affine.is_scalar and values.order:
        to.settle()
    affine = to.fold()
    shapes: list[tuple[str, tuple[int, ...]]] = [("kernel", (values.size, units))]
    arrays = to.arrays([*shapes, ("bias", (units,))] if has_bias else shapes)

    def read() -> Arrays:
        kernel = _kernel(arrays[0])
        if values.order:
            kernel = kernel.reshape(*values.order, units).transpose(2, 0, 1, 3)
            kernel = kernel.reshape(values.size, units)
        return _filled(kernel.T, _kernel(arrays[1]) if has_bias else None, affine)

    arguments: dict[str, Any] = {"out_features": units}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    to.folded(affine, to.add("Linear", arguments, read))
    to.layout = Vector(units)
    _activate(options, to, activation)


def _read_dense_of_map(to: Builder, units: int, has_bias: bool) -> None:
    """Take a Dense over the channels of each place: a 1×1 convolution."""
    values = to.layout
    assert isinstance(values, Map)
    if not values.last:
        raise to.misfit("runs along the width of a map: put a Flatten before it")
    if to.affine and not to.affine.is_scalar:
        to.settle()
    affine = to.fold()
    shapes: list[tuple[str, tuple[int, ...]]] = [("kernel", (values.channels, units))]
    arrays = to.arrays([*shapes, ("bias", (units,))] if has_bias else shapes)

    def read() -> Arrays:
        kernel = _kernel(arrays[0]).T[:, :, None, None]
        return _filled(kernel, _kernel(arrays[1]) if has_bias else None, affine)

    point = _Window((1, 1), (1, 1), (1, 1), False, True)
    arguments: dict[str, Any] = {"out_channels": units}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    _convolve(to, point, arguments, read, affine)


def _write_dense(out: Outgoing) -> list[Written]:
    module = out.module
    assert isinstance(module, nn.Linear)
    config = {
        "units": module.out_features,
        "activation": "linear",
        "use_bias": module.bias is not None,
    }
    arrays: Arrays = {}
    if out.weights:
        kernel = out.weights["weight"].T
        if len(out.flattened) == 3:
            kernel = kernel.reshape(*out.flattened, -1).transpose(1, 2, 0, 3)
            kernel = kernel.reshape(module.in_features, module.out_features)
        arrays = {"kernel": kernel} | _bias(out)
    return [Written("Dense", config, arrays)]


# Batch norm


def _channel_order(values: Map | Vector | Pixels, array: Array) -> Array:
    """Return one number a channel, or a feature of a flattened map, in torch's order."""
    if isinstance(values, Vector) and values.order:
        return array.reshape(values.order).transpose(2, 0, 1).reshape(-1)
    return array


def _keras_order(out: Outgoing, array: Array) -> Array:
    if len(out.flattened) == 3:
        return array.reshape(out.flattened).transpose(1, 2, 0).reshape(-1)
    return array


def _read_norm(options: Options, to: Builder) -> None:
    axis = options.take("axis", -1)
    eps, momentum = options.number("epsilon", 1e-3), options.number("momentum", 0.99)
    scale, center = options.flag("scale", True), options.flag("center", True)
    if options.flag("renorm", False):
        options.refuse("has renorm, which torch's batch norm has not")
    # What only training uses.
    options.ignore("renorm_momentum", "renorm_clipping", "synchronized", "virtual_batch_size")
    options.finish()
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(to.layout, Pixels) and len(to.shape) == 3:
        to.map(None)
    values = to.values()
    if isinstance(values, Pixels):
        raise to.misfit(f"normalizes each column of its input {shown(to.shape)}")
    rank = len(to.shape) + 1
    channel = rank - 1 if isinstance(values, Vector) or values.last else 1
    if axis not in (channel, channel - rank):
        raise to.misfit(f"has axis {shown(axis)}, which is not that of the channels")
    count = values.size if isinstance(values, Vector) else values.channels
    names = ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]
    arrays = to.arrays([(name, (count,)) for name in names])

    def read() -> Arrays:
        found = {
            name: _channel_order(values, _kernel(array))
            for name, array in zip(names, arrays, strict=True)
        }
        affine = {
            "weight": found.get("gamma", np.ones(count, np.float32)),
            "bias": found.get("beta", np.zeros(count, np.float32)),
        }
        return (affine if scale or center else {}) | {
            "running_mean": found["moving_mean"],
            "running_var": found["moving_variance"],
            "num_batches_tracked": np.zeros((), np.int64),
        }

    # Torch counts the new value's share, Keras the old one's.
    arguments: dict[str, Any] = {"eps": eps, "momentum": round(1 - momentum, 12)}
    arguments |= {} if scale or center else {"affine": False}
    to.add("BatchNorm1d" if isinstance(values, Vector) else "BatchNorm2d", arguments, read)


def _write_norm(out: Outgoing) -> list[Written]:
    module = out.module
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    assert module.momentum is not None
    config = {
        "axis": -1,
        "momentum": round(1 - module.momentum, 12),
        "epsilon": module.eps,
        "center": module.affine,
        "scale": module.affine,
    }
    names = {"gamma": "weight", "beta": "bias"} if module.affine else {}
    names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    arrays = {}
    if out.weights:
        arrays = {name: _keras_order(out, out.weights[its]) for name, its in names.items()}
    return [Written("BatchNormalization", config, arrays)]


# Activations


def _activate(options: Options, to: Builder, found: activations.Activation | None) -> None:
    if found is None:
        return
    if found.kind != "Softmax":
        to.values()
        to.add(found.kind, found.arguments)
        to.activation = (options, _spoken(found.kind, options))
        return
    values = to.values()
    if isinstance(values, Pixels) or (isinstance(values, Map) and not _is_point(values)):
        raise to.misfit(f"is a softmax of a map {shown(to.shape)}, not of one number a class")
    if to.softmax:
        options.refuse("is a softmax after a softmax")
    to.softmax, to.activation = options, None


def _is_point(values: Map) -> bool:
    return values.last and (values.height, values.width) == (1, 1)


def _spoken(kind: str, options: Options) -> str:
    activation = options.layer.config.get("activation")
    return activation if isinstance(activation, str) else kind


def _activation_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        found = activations.LAYERS[kind](options, to.version)
        options.finish()
        _activate(options, to, found)

    return read


def _read_prelu(options: Options, to: Builder) -> None:
    shared = options.take("shared_axes", [])
    options.finish()
    shared = shared if isinstance(shared, list) else [shared]
    if isinstance(to.layout, Pixels) and len(to.shape) == 3:
        to.map(None)
    values = to.values()
    shape = tuple(1 if i in shared else side for i, side in enumerate(to.shape, 1))
    count = math.prod(shape)
    if isinstance(values, Pixels) or (
        isinstance(values, Map) and count not in (1, shape[2 if values.last else 0])
    ):
        raise to.misfit("has a weight per pixel: give it shared_axes of height and width")
    arrays = to.arrays([("alpha", shape)])

    def read() -> Arrays:
        alpha = _kernel(arrays[0]).reshape(-1)
        return {"weight": _channel_order(values, alpha) if count > 1 else alpha}

    to.add("PReLU", {"num_parameters": count} if count > 1 else {}, read)
    to.activation = (options, "PReLU")


def _write_prelu(out: Outgoing) -> list[Written]:
    module = out.module
    assert isinstance(module, nn.PReLU)
    count, is_map = module.num_parameters, len(out.layer.input_shape) == 3
    if is_map:
        shared = [1, 2] if count > 1 or out.layer.input_shape[0] == 1 else [1, 2, 3]
    else:
        shared = [] if count > 1 else [1]
    arrays: Arrays = {}
    if out.weights:
        alpha = out.weights["weight"]
        alpha = _keras_order(out, alpha) if count > 1 else alpha
        arrays = {"alpha": alpha.reshape(1, 1, count) if is_map else alpha}
    return [Written("PReLU", {"shared_axes": shared or None}, arrays)]


def _write_activation(out: Outgoing) -> list[Written]:
    name = activations.written(out.layer.kind, out.layer.arguments)
    if name is None or out.layer.arguments.get("approximate", "none") != "none":
        raise Unwritable("has approximate tanh, which no layer of Keras has")
    return [Written("Activation", {"activation": name}, {})]


def _write_relu(out: Outgoing) -> list[Written]:
    return [Written("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, {})]


def _write_leaky_relu(out: Outgoing) -> list[Written]:
    slope = out.layer.arguments.get("negative_slope", 0.01)
    return [Written("LeakyReLU", {"negative_slope": slope}, {})]


def _write_elu(out: Outgoing) -> list[Written]:
    if activations.written("ELU", out.layer.arguments):
        return _write_activation(out)
    return [Written("ELU", {"alpha": out.layer.arguments["alpha"]}, {})]


# Dropout, and what only training uses


def _dropout_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        rate = options.number("rate", 0.5)
        options.default("noise_shape", None)
        last = options.channels_last()
        options.finish()
        if kind == "Dropout2d":
            to.map(last)
        else:
            to.values()
        to.add(kind, {"p": rate})

    return read


def _write_dropout(out: Outgoing) -> list[Written]:
    assert isinstance(out.module, nn.Dropout | nn.Dropout2d)
    kind = "Dropout" if isinstance(out.module, nn.Dropout) else "SpatialDropout2D"
    return [Written(kind, {"rate": out.module.p}, {})]


def _leave_out(options: Options, to: Builder) -> None:
    options.ignore_all()
    to.current.notes.append("left out, only training uses it")


# Scales of the pixels


def _read_rescaling(options: Options, to: Builder) -> None:
    scale, offset = options.number("scale", 1.0), options.number("offset", 0.0)
    options.finish()
    to.scale(scale, offset, to.current)


def _read_normalization(options: Options, to: Builder) -> None:
    axis, invert = options.take("axis", None), options.flag("invert", False)
    mean, variance = options.take("mean", None), options.take("variance", None)
    options.finish()
    shape = to.shape
    axes = [axis] if isinstance(axis, int) else axis or []
    kept = {a % (len(shape) + 1) for a in axes if type(a) is int}
    sizes = tuple(side if i in kept else 1 for i, side in enumerate(shape, 1))
    if mean is None:
        compact = tuple(side for i, side in enumerate(shape, 1) if i in kept)
        arrays = to.arrays([("mean", compact), ("variance", compact), ("count", ())])
        if to.unsure:
            return
        mean, variance = (np.asarray(array[()], np.float64) for array in arrays[:2])
    try:
        mean = np.broadcast_to(np.asarray(mean, np.float64).reshape(-1), (math.prod(sizes),))
        variance = np.broadcast_to(
            np.asarray(variance, np.float64).reshape(-1), (math.prod(sizes),)
        )
    except (ValueError, TypeError):
        options.refuse("has a mean or a variance of another shape than its input")
        raise Misfit from None
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()):
        options.refuse("has a mean or a variance that is not a number")
        raise Misfit
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # Keras's smallest
    scale, offset = (deviation, mean) if invert else (1 / deviation, -mean / deviation)
    if len(set(scale)) == 1 and len(set(offset)) == 1:
        to.scale(float(scale[0]), float(offset[0]), to.current)
        return
    if isinstance(to.layout, Map) and to.layout.channels > 1:
        raise to.misfit("has a value per channel: only one for all can be taken in")
    if isinstance(to.layout, Vector) and to.layout.order:
        raise to.misfit("has a value per pixel after a Flatten of several channels")
    scale, offset = (np.broadcast_to(v.reshape(sizes), shape).reshape(-1) for v in (scale, offset))
    to.scale(scale, offset, to.current)


def _unwritten(out: Outgoing) -> list[Written]:
    raise Unwritable("is not known to Keras")


CODECS: dict[str, Codec] = {
    "Conv2D": Codec(_read_conv, ("Conv2d",), _write_conv),
    "DepthwiseConv2D": Codec(_read_depthwise),  # _write_conv writes it for as many groups
    "SeparableConv2D": Codec(_read_separable),
    "ZeroPadding2D": Codec(_read_zeros, ("ZeroPad2d",), _write_zeros),
    "MaxPooling2D": Codec(_pool_reader("MaxPool2d"), ("MaxPool2d",), _write_pool),
    "AveragePooling2D": Codec(_pool_reader("AvgPool2d"), ("AvgPool2d",), _write_pool),
    "GlobalAveragePooling2D": Codec(
        _global_pool_reader("AdaptiveAvgPool2d"), ("AdaptiveAvgPool2d",), _write_global_pool
    ),
    "GlobalMaxPooling2D": Codec(
        _global_pool_reader("AdaptiveMaxPool2d"), ("AdaptiveMaxPool2d",), _write_global_pool
    ),
    "Flatten": Codec(
        _read_flatten,
        ("Flatten",),
        lambda out: [Written("Flatten", {"data_format": "channels_last"}, {})],
    ),
    "Reshape": Codec(_read_reshape),
    "Dense": Codec(_read_dense, ("Linear",), _write_dense),
    "BatchNormalization": Codec(_read_norm, ("BatchNorm1d", "BatchNorm2d"), _write_norm),
    "Activation": Codec(
        _activation_reader("Activation"),
        tuple(kind for kind in activations.WRITTEN if kind != "ELU"),
        _write_activation,
    ),
    "ReLU": Codec(_activation_reader("ReLU"), ("ReLU6",), _write_relu),
    "LeakyReLU": Codec(_activation_reader("LeakyReLU"), ("LeakyReLU",), _write_leaky_relu),
    "PReLU": Codec(_read_prelu, ("PReLU",), _write_prelu),
    "ELU": Codec(_activation_reader("ELU"), ("ELU",), _write_elu),
    "Softmax": Codec(
        _activation_reader("Softmax"),
        ("LogSoftmax",),
        lambda out: [Written("Softmax", {"axis": -1}, {})],
    ),
    "Dropout": Codec(_dropout_reader("Dropout"), ("Dropout",), _write_dropout),
    "SpatialDropout2D": Codec(_dropout_reader("Dropout2d"), ("Dropout2d",), _write_dropout),
    "Rescaling": Codec(_read_rescaling),
    "Normalization": Codec(_read_normalization),
}
# Augmentation and noise: outside of training they give their input back.
CODECS |= {
    kind: Codec(_leave_out)
    for kind in (
        "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
        "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
        "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHeight",
        "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
        "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth",
        "RandomZoom", "RandomElasticTransform", "AugMix", "CutMix", "MixUp", "RandAugment",
    )
}  # fmt: skip
# Why others don't come over, where more can be said than that they don't.
REASONS = {
    "Lambda": "holds code, which is not executed",
    "Cropping2D": "cuts the map, and no layer of the network does",
    "ThresholdedReLU": "is no activation of torch.nn",
    "RandomCrop": "cuts the picture outside of training too",
    "Conv1D": "convolves rows, not pictures",
} | {
    kind: "joins branches: only one chain comes over"
    for kind in ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
}
# By the layer of torch.nn that is written.
WRITERS: dict[str, Writer] = {
    kind: codec.write for codec in CODECS.values() if codec.write for kind in codec.writes
}
