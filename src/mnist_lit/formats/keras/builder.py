"""A network put together layer by layer as Keras's layers are read."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mnist_lit.formats.keras.chain import KerasLayer, shown
from mnist_lit.formats.keras.options import Misfit, Options
from mnist_lit.formats.keras.reader import Source
from mnist_lit.network.network import MAX_SIZE, MIN_SIZE

Array = NDArray[np.float32]
Arrays = dict[str, Array]
Shapes = Sequence[tuple[str, tuple[int, ...]]]


class Pixels(NamedTuple):
    """The input before any layer needs it as a map: in rows, whatever shape Keras gives it."""

    shape: tuple[int, ...]  # in Keras, without the batch


class Map(NamedTuple):
    """A map C×H×W; in Keras H×W×C where `last`."""

    channels: int
    height: int
    width: int
    last: bool

    @property
    def shape(self) -> tuple[int, ...]:
        if self.last:
            return self.height, self.width, self.channels
        return self.channels, self.height, self.width


class Vector(NamedTuple):
    """A vector. Where it has an `order`, Keras flattened a map of that shape, H×W×C, which
    PyTorch flattens as C×H×W."""

    size: int
    order: tuple[int, int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)


@dataclass(eq=False)
class Spec:
    """A layer of the network to be, and how its weights are read."""

    kind: str
    arguments: dict[str, Any]
    read: Callable[[], Arrays] | None = None


@dataclass(eq=False)
class Taken:
    """What became of one layer of Keras's."""

    layer: KerasLayer
    specs: list[Spec] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folded_into: Spec | None = None


@dataclass(eq=False)
class Affine:
    """Pixels times `scale` plus `offset`, not yet part of a layer.

    It stands before the layer number `at`, and everything since then gives the same with it
    afterwards. Arrays have a value for each pixel, in rows.
    """

    scale: Any
    offset: Any
    at: int
    taken: list[Taken]

    @property
    def is_scalar(self) -> bool:
        return np.ndim(self.scale) == 0 and np.ndim(self.offset) == 0

    @property
    def shifts(self) -> bool:
        return bool(np.any(self.offset))


class Builder:
    """Takes Keras's layers one by one.

    Args:
        source: The file.
        shape: The input's shape in Keras, without the batch.
    """

    def __init__(self, source: Source, shape: tuple[int, ...]) -> None:
        self.source = source
        self.version = source.version
        self.layout: Pixels | Map | Vector = Pixels(shape)
        self.specs: list[Spec] = []
        self.taken: list[Taken] = []
        self.unsure = False  # a layer could not be taken, so shapes may be others than they seem
        self.parameters = 0
        self.affine: Affine | None = None
        self.own_scale: float | None = None  # of the model's first layer, if it scales the pixels
        # Where the pixels are flattened, once a layer needs them as a vector, and by what.
        self.flatten_at: int | None = None
        self.flattened_by: Taken | None = None
        self.softmax: Options | None = None
        self.activation: tuple[Options, str] | None = None  # the last one, if nothing follows it
        self.flat: Options | None = None  # the layer that flattened a map
        self._options: Options | None = None

    # What codecs ask for

    def begin(self, options: Options) -> None:
        self._options = options
        self.taken.append(Taken(options.layer))

    @property
    def current(self) -> Taken:
        return self.taken[-1]

    def misfit(self, why: str) -> Misfit:
        """Return the error of a layer that doesn't fit what comes before it."""
        assert self._options
        if not self.unsure:
            self._options.refuse(why)
        return Misfit(why)

    @property
    def shape(self) -> tuple[int, ...]:
        """The values' shape in Keras, without the batch."""
        return self.layout.shape

    def map(self, last: bool | None, *, keep_affine: bool = False) -> Map:
        """Return the values as a map, for a layer whose channels come last or first."""
        layout = self.layout
        if isinstance(layout, Pixels):
            shape = layout.shape
            if len(shape) == 3 and shape[2] == 1 and last is not False:
                layout = Map(1, shape[0], shape[1], True)
            elif len(shape) == 3 and shape[0] == 1 and not last:
                layout = Map(1, shape[1], shape[2], False)
        if not isinstance(layout, Map):
            raise self.misfit(
                f"needs a picture with channels, and its input is {shown(self.shape)}"
            )
        if last is not None and layout.last != last:
            raise self.misfit(
                f"has its channels {'last' if last else 'first'}, and the layer before it has not"
            )
        if not keep_affine:
            self.settle()
        self.layout = layout
        return layout

    def vector(self, *, keep_affine: bool = False) -> Vector:
        """Return the values as a vector."""
        if not keep_affine:
            self.settle()
        if isinstance(self.layout, Pixels) and len(self.shape) == 1:
            spec = Spec("Flatten", {})
            at = len(self.specs) if self.flatten_at is None else self.flatten_at
            self.specs.insert(at, spec)
            if self.flattened_by:
                self.flattened_by.specs.append(spec)
            self.layout = Vector(self.shape[0])
        if not isinstance(self.layout, Vector):
            raise self.misfit(f"needs a Flatten before it: its input is {shown(self.shape)}")
        return self.layout

    def values(self) -> Pixels | Map | Vector:
        """Return the values for a layer that treats each number alone."""
        self.settle()
        if isinstance(self.layout, Pixels) and len(self.shape) == 1 and self.flatten_at is None:
            self.flatten_at = len(self.specs)
        return self.layout

    def channels(self) -> Pixels | Map | Vector:
        """Return the values for a layer that has a number for each channel or feature."""
        if isinstance(self.layout, Pixels) and len(self.shape) == 1:
            return self.vector()
        if isinstance(self.layout, Pixels) and len(self.shape) == 3:
            return self.map(None)
        return self.values()

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Give the pixels another shape in Keras."""
        if len(shape) == 1:
            self.flattened_by = self.current
        else:
            self.flatten_at = None
        self.layout = Pixels(shape)

    def add(
        self,
        kind: str,
        arguments: Mapping[str, Any] | None = None,
        read: Callable[[], Arrays] | None = None,
    ) -> Spec:
        spec = Spec(kind, dict(arguments or {}), read)
        if self.softmax and kind not in ("Dropout", "Flatten"):
            self.softmax.refuse("is a softmax that is not the last layer")
            self.softmax = None
        if kind not in ("Dropout", "Flatten"):
            self.activation = None
        self.specs.append(spec)
        self.current.specs.append(spec)
        return spec

    def arrays(self, shapes: Shapes) -> list[h5py.Dataset]:
        """Return the current layer's arrays, checked but not read."""
        assert self._options
        found = self.source.arrays(self._options.layer.place)
        self.parameters += sum(math.prod(shape) for _, shape in shapes)
        if self.unsure:
            return found
        names = [name for name, _ in shapes]
        if len(found) != len(shapes):
            raise self.misfit(
                f"has {len(found)} arrays in the file, expected {len(shapes)}: {', '.join(names)}"
            )
        for array, (name, shape) in zip(found, shapes, strict=True):
            if array.shape != shape:
                raise self.misfit(f"has {name} {shown(array.shape)}, expected {shown(shape)}")
        return found

    # Scales and offsets of the pixels

    def scale(self, scale: Any, offset: Any, taken: Taken | None) -> None:
        """Multiply the values by `scale` and add `offset`: numbers, or one for each pixel."""
        if taken and self.own_scale is None and not self.specs:
            self.own_scale = float(np.median(np.abs(scale)))
        before = self.affine
        if before and before.at < len(self.specs) and np.any(offset):
            self.settle()
            before = None
        if before is None:
            before = self.affine = Affine(1.0, 0.0, len(self.specs), [])
        before.scale, before.offset = before.scale * scale, before.offset * scale + offset
        if taken:
            before.taken.append(taken)

    def settle(self) -> None:
        """Make a 1×1 convolution of a scale and offset that the next layer can't take."""
        if self.affine is None:
            return
        affine, self.affine = self.affine, None
        if affine.is_scalar and affine.scale == 1 and affine.offset == 0:
            return
        if not affine.is_scalar:
            raise self.misfit("follows a Normalization with a value per pixel: only Dense can")
        if affine.at > 0:  # there may be several channels
            raise self.misfit("follows a scale or offset that only Dense and Conv2D can take")
        weight = np.full((1, 1, 1, 1), affine.scale, np.float32)
        bias = np.full(1, affine.offset, np.float32)
        arguments = {"out_channels": 1, "kernel_size": 1}
        spec = Spec("Conv2d", arguments, lambda: {"weight": weight, "bias": bias})
        self.specs.insert(affine.at, spec)
        for taken in affine.taken:
            taken.specs.append(spec)

    def fold(self) -> Affine | None:
        """Return the scale and offset for the current layer to take into its weights."""
        affine, self.affine = self.affine, None
        return affine

    def folded(self, affine: Affine | None, spec: Spec) -> None:
        for taken in affine.taken if affine else ():
            taken.folded_into = spec


def check_input(shape: Any) -> int:
    """Return the side of the images that a model takes.

    Raises:
        Misfit: They aren't square greyscale images of a size that a network can have.
    """
    if not (
        isinstance(shape, list | tuple)
        and shape
        and all(type(side) is int and 1 <= side <= 10_000_000 for side in shape)
    ):
        raise Misfit(f"has no fixed size: {shown(shape)}")
    sides = [side for side in shape if side > 1]
    if len(sides) == 1 and math.isqrt(sides[0]) ** 2 == sides[0]:
        sides = [math.isqrt(sides[0])] * 2
    if len(sides) == 3 and len(set(sides)) > 1:
        raise Misfit(f"is {shown(shape)}: not greyscale")
    if len(sides) != 2 or sides[0] != sides[1]:
        raise Misfit(f"is {shown(shape)}: not square")
    if not MIN_SIZE <= sides[0] <= MAX_SIZE:
        raise Misfit(f"is {shown(shape)}: not {MIN_SIZE} to {MAX_SIZE} pixels wide")
    side: int = sides[0]
    return side
