"""Pools, of windows and of whole maps."""

from typing import Any

from torch import nn

from mnist_lit.formats.keras.builder import Builder, Map, Vector
from mnist_lit.formats.keras.codecs.codec import Outgoing, Reader, Unwritable, Written
from mnist_lit.formats.keras.codecs.convolutions import take_window, zeros
from mnist_lit.formats.keras.options import Options
from mnist_lit.formats.keras.sizes import Pair, one_or_both, pool_outputs, same
from mnist_lit.network.network import shape_text


def pool_reader(kind: str) -> Reader:
    def read(options: Options, to: Builder) -> None:
        window = take_window(options, "pool_size", None)
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
        parts = zip(
            (values.height, values.width), window.kernel, window.stride, before, strict=True
        )
        found = tuple(pool_outputs(*part, "ceil_mode" in arguments) for part in parts)
        if found != (height, width):
            raise to.misfit("has a `same` padding that torch's pools can't express")
        to.add(kind, arguments)
        to.layout = Map(values.channels, height, width, values.last)

    return read


def write_pool(out: Outgoing) -> list[Written]:
    module: Any = out.module
    kernel, stride, padding = (pair(v) for v in (module.kernel_size, module.stride, module.padding))
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
        before = [zeros((padding[0], padding[0]), (padding[1], padding[1]))]
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


def pair(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def global_pool_reader(kind: str) -> Reader:
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


def write_global_pool(out: Outgoing) -> list[Written]:
    kind = "Average" if isinstance(out.module, nn.AdaptiveAvgPool2d) else "Max"
    config = {"data_format": "channels_last", "keepdims": True}
    return [Written(f"Global{kind}Pooling2D", config, {})]
