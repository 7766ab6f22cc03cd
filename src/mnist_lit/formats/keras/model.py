"""A Keras file as a network with its weights."""

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mnist_lit.errors import Argument, InputError
from mnist_lit.formats.keras import chain, reader, writer
from mnist_lit.formats.keras.builder import Builder, Map, Spec, Taken, Vector, check_input
from mnist_lit.formats.keras.chain import KerasLayer, shown
from mnist_lit.formats.keras.codecs import CODECS, REASONS
from mnist_lit.formats.keras.options import Misfit, Options
from mnist_lit.formats.keras.reader import Source
from mnist_lit.network.architecture import Architecture, LayerSpec, Value
from mnist_lit.network.network import MAX_PARAMETERS, Network, describe

# A model that first scales its pixels by less than this was trained on bytes: 1/255 and 1/127.5 are
# usual, and pixels in [0, 1] would be hardly distinguishable.
BYTES_BELOW = 0.1


class Row(NamedTuple):
    """What became of one layer of a Keras model."""

    name: str  # Keras's
    kind: str  # Keras's class
    ours: tuple[str, ...]  # the names of the layers that it became, none where it vanished
    parameters: int  # of those layers
    note: str  # what was folded or left out, or ""


class Model(NamedTuple):
    """A Keras model as a network of ours.

    Args:
        network: The network's description.
        weights: Its weights by the names in `Network`.
        num_classes: The number of classes.
        image_size: Side of the images in pixels.
        rows: What became of each Keras layer, in order.
        input_range: The values that the model takes for the darkest and the brightest pixel.
    """

    network: Architecture
    weights: dict[str, Tensor]
    num_classes: int
    image_size: int
    rows: list[Row]
    input_range: tuple[float, float]

    def build(self) -> Network:
        """Return the network with its weights, ready to evaluate."""
        network = Network(
            self.num_classes, network=self.network, image_size=self.image_size, large=True
        )
        network.load_state_dict(self.weights)
        return network.eval()


def read(
    path: str | Path,
    *,
    network: Value | None = None,
    input_range: tuple[float, float] | None = None,
) -> Model:
    """Return the network in a `.h5`, `.weights.h5` or `.keras` file of Keras 2 or 3.

    The network takes pixels in [0, 1], as every network here does.

    Args:
        path: The file.
        network: For a file of weights alone: the network, as `Architecture.of` takes it. Default:
            `notebook`.
        input_range: The values that the model was trained on for the darkest and the brightest
            pixel. Default: 0 to 1, or 0 to 255 where the model's own first layer scales them down.

    Raises:
        InputError: The file is damaged, or holds a model that the network can't be; then the
            message names every layer that stands in the way.
    """
    path = Path(path)
    if input_range is not None and not (
        len(input_range) == 2
        and all(math.isfinite(value) for value in input_range)
        and input_range[0] != input_range[1]
    ):
        raise InputError(
            Argument("input_range", input_range),
            "is not a range",
            "give two numbers, such as 0 255",
        )
    try:
        with reader.opened(path) as source:
            if source.config is None:
                return _read_weights(path, source, network or "notebook", input_range)
            if network is not None:
                raise InputError(
                    Argument("network", str(network)),
                    f"is for files without a description, and {path} describes its layers",
                    "leave it out",
                )
            return _read_model(path, source, input_range)
    except InputError as error:
        if error.subject == path or isinstance(error.subject, Argument):
            raise
        raise InputError(
            path, f"can't be read: {error.subject} {error.problem}", error.remedy
        ) from error
    except OSError as error:
        if error.errno:
            raise
        raise InputError(path, "is not a whole HDF5 file", "save the model again") from error
    except Exception as error:  # a malformed file can make h5py and json raise anything
        raise InputError(path, "is not a whole Keras file", "save the model again") from error


def _read_model(path: Path, source: Source, input_range: tuple[float, float] | None) -> Model:
    found = chain.read(source.config)
    return _Reading(path, source, found.layers, list(found.refused), input_range).model()


def _read_weights(
    path: Path, source: Source, network: Value, input_range: tuple[float, float] | None
) -> Model:
    """Read weights alone, of the layers that `network` has."""
    architecture = Architecture.of(network)
    image_size = 28
    num_classes = _classes(path, source)
    try:
        described = describe(architecture, num_classes, image_size)
    except InputError as error:
        raise InputError(
            path,
            f"holds weights of {num_classes} classes, which don't fit the network ({error})",
            ("name the network that it is of by", Argument("network")),
        ) from error
    layers = [(item.kind, item.name, item.config) for item in writer.convert(described)]
    start = ("InputLayer", "input_layer", {"batch_shape": [None, image_size, image_size, 1]})
    placed = chain.placed([start, *layers])
    if source.named:
        placed = _by_order(placed, list(source.holders()))
    reading = _Reading(path, source, placed, [], input_range)
    reading.remedy = (
        "the file itself holds no layers: name its network by", Argument("network"),
        "(default: notebook), or save the whole model",
    )  # fmt: skip
    model = reading.model()
    return model._replace(network=architecture) if _same_names(architecture, model) else model


def _same_names(architecture: Architecture, model: Model) -> bool:
    """Return whether the network asked for has the very weights that were read."""
    names = {name.split(".")[0] for name in model.weights}
    return names <= set(architecture.names())


def _by_order(layers: list[KerasLayer], holders: list[str]) -> list[KerasLayer]:
    """Give the layers that have weights the file's groups, in order."""
    left = iter(holders)
    return [
        layer._replace(place=layer.place._replace(group=next(left, "")))
        if layer.kind in writer.WITH_WEIGHTS
        else layer
        for layer in layers
    ]


def _classes(path: Path, source: Source) -> int:
    """Return the number of classes of a file that does not describe its layers."""
    holders = list(source.holders())
    if source.named:
        places = [chain.Place(name, None, ()) for name in holders[-1:]]
    else:
        count = sum(name.split("_")[0] == "dense" for name in holders)
        places = [chain.Place("", None, (("dense", count - 1),))] if count else []
    arrays = source.arrays(places[0]) if places else []
    if not arrays or not arrays[-1].shape:
        raise InputError(
            path,
            "holds no layers with weights" if not holders else "does not end with a Dense",
            "save the whole model",
        )
    return int(arrays[-1].shape[-1])


class _Reading:
    """One pass over the layers of a file, which gathers everything that stands in the way."""

    def __init__(
        self,
        path: Path,
        source: Source,
        layers: list[KerasLayer],
        refused: list[str],
        input_range: tuple[float, float] | None,
    ) -> None:
        self.path = path
        self.source = source
        self.layers = layers
        self.refused = refused
        self.remedy: Any = "use one chain of layers that docs/keras.md lists"
        self.input_range = input_range
        self.read_by: set[str] = set()

    def model(self) -> Model:
        image_size, shape = self._input()
        to, options = self._pass(shape, self.input_range or (0, 1))
        if self.input_range is None:
            self.input_range = (0, 1)
            if to.own_scale is not None and to.own_scale < BYTES_BELOW:
                self.input_range = (0, 255)
                to, options = self._pass(shape, self.input_range)
        with contextlib.suppress(Misfit):
            self._finish(to)
        for one in options:
            self.refused += [f"{one.label} {why}" for why in one.refused]
        if not self.refused:
            self._check_left()
        if self.refused:
            raise InputError(
                self.path, f"holds what does not come over: {'; '.join(self.refused)}", self.remedy
            )
        self._check_size(to)
        return self._result(to, image_size, options)

    def _input(self) -> tuple[int, tuple[int, ...]]:
        """Return the side of the images, and the shape in Keras."""
        shape: Any = None
        name = "its input"
        for layer in self.layers[:1]:
            config = layer.config
            found = config.get("batch_shape") or config.get("batch_input_shape")
            if isinstance(found, list) and found:
                shape = found[1:]
            elif type(config.get("input_dim")) is int:
                shape = [config["input_dim"]]
            name = f"{chain.label(layer.name, layer.kind)} input"
        if shape is None:
            shape = self.source.config["config"] if self.source.config else None
            shape = shape.get("build_input_shape") if isinstance(shape, Mapping) else None
            shape = shape[1:] if isinstance(shape, list) else None
        try:
            return check_input(shape), tuple(shape)
        except Misfit as misfit:
            self.refused.append(f"{name} {misfit}")
            return 28, (28, 28, 1)

    def _pass(
        self, shape: tuple[int, ...], input_range: tuple[float, float]
    ) -> tuple[Builder, list[Options]]:
        """Take every layer; nothing is read from the file but shapes, and statistics of pixels."""
        to = Builder(self.source, shape)
        to.unsure = bool(self.refused)
        low, high = input_range
        to.scale(high - low, low, None)
        return to, [self._take(layer, to) for layer in self.layers]

    def _take(self, layer: KerasLayer, to: Builder) -> Options:
        options = Options(layer)
        if layer.kind == "InputLayer":
            options.ignore("dtype")
            options.finish()
            return options
        self.read_by.add(self.source.name_of(layer.place))
        to.begin(options)
        codec = CODECS.get(layer.kind)
        if codec is None:
            foreign = "is not a class of Keras's own" if ">" in layer.kind else None
            why = foreign or REASONS.get(layer.kind, "is not among the layers that come over")
            if not any(each.startswith(f"{options.label} ") for each in self.refused):
                options.refuse(why)
            to.unsure = True
        else:
            try:
                codec.read(options, to)
            except Misfit:
                to.unsure = True
        to.current.notes.extend(options.notes)
        return options

    def _finish(self, to: Builder) -> None:
        """See that the chain ends with one number a class."""
        to.settle()
        if to.activation and (to.unsure or to.softmax is None):
            options, spoken = to.activation
            options.refuse(f"is the last activation and is {shown(spoken)}, not softmax or linear")
            return
        if to.unsure:
            return
        values = to.layout
        if isinstance(values, Map) and values.last and (values.height, values.width) == (1, 1):
            to.add("Flatten")
            values = to.layout = Vector(values.channels)
        if not isinstance(values, Vector):
            raise to.misfit(f"ends the model with {shown(to.shape)}, not with one number a class")
        if values.order and to.flat:
            to.flat.refuse("flattens a map into the classes: put a Dense after it")
        if values.size < 2:
            raise to.misfit("ends the model with one output: a class needs one each")
        self._open_end(to, values.size)

    def _open_end(self, to: Builder, num_classes: int) -> None:
        """Leave out the last Linear's width, which is the number of classes."""
        for spec in reversed(to.specs):
            if spec.kind == "Linear":
                del spec.arguments["out_features"]
            if spec.kind != "Dropout":
                return

    def _check_left(self) -> None:
        for name, count in self.source.holders().items():
            if name not in self.read_by:
                arrays = "an array" if count == 1 else f"{count} arrays"
                self.refused.append(f"{shown(name)} holds {arrays} that no layer takes")

    def _check_size(self, to: Builder) -> None:
        if to.parameters > MAX_PARAMETERS:
            raise InputError(
                self.path,
                f"has {to.parameters:,} parameters",
                f"at most {MAX_PARAMETERS:,} come over",
            )

    def _result(self, to: Builder, image_size: int, options: list[Options]) -> Model:
        layers = tuple(LayerSpec(spec.kind, spec.arguments) for spec in to.specs)
        # By way of plain values, which checks every argument.
        plain = Architecture(layers, "keras").plain()
        architecture = Architecture.of(plain)
        num_classes = math.prod(to.shape)
        counts = [layer.parameters for layer in describe(architecture, num_classes, image_size)]
        names = dict(zip(map(id, to.specs), architecture.names(), strict=True))
        sizes = dict(zip(map(id, to.specs), counts, strict=False))
        weights = {}
        for spec in to.specs:
            for key, value in (spec.read() if spec.read else {}).items():
                weights[f"{names[id(spec)]}.{key}"] = torch.from_numpy(
                    np.require(value, requirements="C")
                )
        input_range = self.input_range
        assert input_range
        rows = [_row(taken, names, sizes) for taken in to.taken]
        return Model(architecture, weights, num_classes, image_size, rows, input_range)


def _row(taken: Taken, names: Mapping[int, str], sizes: Mapping[int, int]) -> Row:
    specs: list[Spec] = taken.specs
    notes = list(taken.notes)
    if taken.folded_into:
        notes.insert(0, f"folded into {names[id(taken.folded_into)]}")
    return Row(
        taken.layer.name,
        taken.layer.kind,
        tuple(names[id(spec)] for spec in specs),
        sum(sizes[id(spec)] for spec in specs),
        ", ".join(notes),
    )
