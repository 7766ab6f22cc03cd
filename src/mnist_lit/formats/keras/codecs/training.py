"""Dropout, and what only training uses."""

from torch import nn

from mnist_lit.formats.keras.builder import Builder
from mnist_lit.formats.keras.codecs.codec import Outgoing, Reader, Written
from mnist_lit.formats.keras.options import Options


def dropout_reader(kind: str) -> Reader:
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


def write_dropout(out: Outgoing) -> list[Written]:
    assert isinstance(out.module, nn.Dropout | nn.Dropout2d)
    kind = "Dropout" if isinstance(out.module, nn.Dropout) else "SpatialDropout2D"
    return [Written(kind, {"rate": out.module.p}, {})]


def leave_out(options: Options, to: Builder) -> None:
    options.ignore_all()
    to.current.notes.append("left out, only training uses it")
