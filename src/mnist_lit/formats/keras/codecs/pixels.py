"""Scales and offsets of the pixels."""

import math

import numpy as np

from mnist_lit.formats.keras.builder import Builder, Map, Vector
from mnist_lit.formats.keras.options import Misfit, Options


def read_rescaling(options: Options, to: Builder) -> None:
    scale, offset = options.number("scale", 1.0), options.number("offset", 0.0)
    options.finish()
    to.scale(scale, offset, to.current)


def read_normalization(options: Options, to: Builder) -> None:
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
