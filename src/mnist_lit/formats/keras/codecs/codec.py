"""What a codec is: how a Keras class is read, and how it is written."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
from torch import nn

from mnist_lit.formats.keras.builder import Affine, Array, Arrays, Builder, Map, Pixels, Vector
from mnist_lit.formats.keras.options import Options
from mnist_lit.network.network import Layer

Reader = Callable[[Options, Builder], None]


class Written(NamedTuple):
    """A Keras layer and its arrays by name."""

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
    """How a Keras class is read, and what it writes.

    Args:
        read: Takes a layer of the class.
        writes: The layers of torch.nn that come out as this class.
        write: Writes one of them.
    """

    read: Reader
    writes: tuple[str, ...] = ()
    write: Writer | None = None


def read_array(array: h5py.Dataset) -> Array:
    return np.asarray(array[()], np.float32)


def filled(kernel: Array, bias: Array | None, affine: Affine | None) -> Arrays:
    """Return torch's weights, O first, with the pixels' scale and offset taken in."""
    if affine is not None and not (affine.is_scalar and (affine.scale, affine.offset) == (1, 0)):
        exact = kernel.astype(np.float64)
        if affine.shifts:
            shift = np.sum(exact * affine.offset, axis=tuple(range(1, exact.ndim)))
            bias = (shift if bias is None else shift + bias).astype(np.float32)
        kernel = (exact * affine.scale).astype(np.float32)
    found = {"weight": np.ascontiguousarray(kernel)}
    return found if bias is None else found | {"bias": bias}


def channel_order(values: Map | Vector | Pixels, array: Array) -> Array:
    """Return one number a channel, or a feature of a flattened map, in torch's order."""
    if isinstance(values, Vector) and values.order:
        return array.reshape(values.order).transpose(2, 0, 1).reshape(-1)
    return array


def keras_order(out: Outgoing, array: Array) -> Array:
    if len(out.flattened) == 3:
        return array.reshape(out.flattened).transpose(1, 2, 0).reshape(-1)
    return array
