"""Batch norm."""

from typing import Any

import numpy as np
from torch import nn

from mnist_lit.formats.keras.builder import Arrays, Builder, Pixels, Vector
from mnist_lit.formats.keras.chain import shown
from mnist_lit.formats.keras.codecs.codec import (
    Outgoing,
    Written,
    channel_order,
    keras_order,
    read_array,
)
from mnist_lit.formats.keras.options import Options


def read_norm(options: Options, to: Builder) -> None:
    axis = options.take("axis", -1)
    eps, momentum = options.number("epsilon", 1e-3), options.number("momentum", 0.99)
    scale, center = options.flag("scale", True), options.flag("center", True)
    if options.flag("renorm", False):
        options.refuse("has renorm, which torch's batch norm has not")
    # What only training uses.
    options.ignore("renorm_momentum", "renorm_clipping", "synchronized", "virtual_batch_size")
    options.finish()
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    values = to.channels()
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
            name: channel_order(values, read_array(array))
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
    arguments: dict[str, Any] = {} if eps == 1e-5 else {"eps": eps}
    if (its_share := round(1 - momentum, 12)) != 0.1:
        arguments["momentum"] = its_share
    arguments |= {} if scale or center else {"affine": False}
    to.add("BatchNorm1d" if isinstance(values, Vector) else "BatchNorm2d", arguments, read)


def write_norm(out: Outgoing) -> list[Written]:
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
        arrays = {name: keras_order(out, out.weights[its]) for name, its in names.items()}
    return [Written("BatchNormalization", config, arrays)]
