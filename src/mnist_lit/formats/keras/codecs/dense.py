"""Dense layers, and the shapes that lead to them.

Kernels are (I, O) in Keras and (O, I) in torch. Keras flattens a map as height, width, channels,
torch as channels, height, width: the first dense layer after it has its inputs put in order.
"""

import math
from typing import Any

from torch import nn

from mnist_lit.formats.keras.builder import Arrays, Builder, Map, Pixels, Vector
from mnist_lit.formats.keras.chain import shown
from mnist_lit.formats.keras.codecs.activations import activate, take
from mnist_lit.formats.keras.codecs.codec import Outgoing, Written, filled, read_array
from mnist_lit.formats.keras.codecs.convolutions import POINT, bias, convolve
from mnist_lit.formats.keras.options import Misfit, Options


def read_flatten(options: Options, to: Builder) -> None:
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
        to.reshape((math.prod(values.shape),))


def read_reshape(options: Options, to: Builder) -> None:
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
        to.reshape(tuple(target))
    elif len(target) == 1 and isinstance(to.layout, Map):
        values = to.layout
        to.add("Flatten")
        order = (values.height, values.width, values.channels) if values.last else None
        to.layout = Vector(size, order if values.channels > 1 and size > values.channels else None)
        to.flat = options
    elif tuple(target) != to.shape:
        raise to.misfit(f"turns {shown(to.shape)} into {shown(target)}: only the input can be")


def read_dense(options: Options, to: Builder) -> None:
    units, has_bias = options.whole("units"), options.flag("use_bias", True)
    activation = take(options, to.version)
    options.finish()
    if isinstance(to.layout, Pixels) and len(to.shape) == 3:
        to.map(True, keep_affine=True)
    if isinstance(to.layout, Map):
        read_dense_of_map(to, units, has_bias)
        activate(options, to, activation)
        return
    values = to.vector(keep_affine=True)
    if to.affine and not to.affine.is_scalar and values.order:
        to.settle()
    affine = to.fold()
    shapes: list[tuple[str, tuple[int, ...]]] = [("kernel", (values.size, units))]
    arrays = to.arrays([*shapes, ("bias", (units,))] if has_bias else shapes)

    def read() -> Arrays:
        kernel = read_array(arrays[0])
        if values.order:
            kernel = kernel.reshape(*values.order, units).transpose(2, 0, 1, 3)
            kernel = kernel.reshape(values.size, units)
        return filled(kernel.T, read_array(arrays[1]) if has_bias else None, affine)

    arguments: dict[str, Any] = {"out_features": units}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    to.folded(affine, to.add("Linear", arguments, read))
    to.layout = Vector(units)
    activate(options, to, activation)


def read_dense_of_map(to: Builder, units: int, has_bias: bool) -> None:
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
        kernel = read_array(arrays[0]).T[:, :, None, None]
        return filled(kernel, read_array(arrays[1]) if has_bias else None, affine)

    arguments: dict[str, Any] = {"out_channels": units}
    arguments |= {} if has_bias or (affine and affine.shifts) else {"bias": False}
    convolve(to, POINT, arguments, read, affine)


def write_dense(out: Outgoing) -> list[Written]:
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
        arrays = {"kernel": kernel} | bias(out)
    return [Written("Dense", config, arrays)]
