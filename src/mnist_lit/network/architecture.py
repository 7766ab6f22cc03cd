"""A network as a value: its layers and how their weights start."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnist_lit.errors import Argument, InputError, Words
from mnist_lit.files import read_yaml
from mnist_lit.network import layers
from mnist_lit.network.named import NAMED

INITS = ("keras", "torch")
MAX_LAYERS = 500
# The parts of a config, which is easily given in place of a network.
CONFIG = {"model", "data", "trainer", "network", "seed_everything"}


@dataclass(frozen=True)
class LayerSpec:
    """A layer: a class of torch.nn and those of its arguments that are given."""

    kind: str
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerSpec, (self.kind, dict(self.arguments))

    def plain(self) -> Any:
        """Return the layer as it is written in YAML, as short as it can be."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.arguments.items()
        }
        if not values:
            return self.kind
        first = next(iter(layers.KINDS[self.kind].arguments))
        if list(values) == [first] and layers.KINDS[self.kind].stem != "norm":
            return {self.kind: values[first]}
        return {self.kind: values}


@dataclass(frozen=True)
class Architecture:
    """A network without its weights and without the sizes that follow from the data.

    Args:
        layers: All but the log-softmax that every network ends with.
        init: How the weights start: as in `keras` (Glorot-uniform weights, zero biases, PReLU at
            zero) or as in `torch`.
    """

    layers: tuple[LayerSpec, ...]
    init: str

    def name_or_plain(self) -> Any:
        """Return the name of the network, whatever the rate of its dropout, or else its value."""
        rates = [layer.arguments["p"] for layer in self.layers if layer.kind == "Dropout"]
        rate = rates[0] if rates else None
        same = (name for name in NAMED if Architecture.of(name, dropout=rate) == self)
        return next(same, None) or self.plain()

    @classmethod
    def of(cls, value: "Value", *, dropout: float | None = None) -> "Architecture":
        """Return the network that `value` means.

        Args:
            value: A name (`notebook`, `small`), the path of a YAML file, or what such a file holds:
                a list of layers, or `{init: keras|torch, layers: [...]}`. A bare list means keras.
            dropout: Replaces the rate of every Dropout of a named network.

        Raises:
            InputError: The value isn't a network. Whether layers fit together shows only with the
                image size and the number of classes: see `Network`.
        """
        if dropout is not None:
            _check_dropout(value, dropout)
        if isinstance(value, Architecture):
            return value
        if isinstance(value, str) and value in NAMED:
            found = cls._read(NAMED[value], Argument("network", value))
            return found if dropout is None else found._with_dropout(dropout)
        if isinstance(value, str) and Path(value).suffix not in (".yaml", ".yml"):
            raise InputError(
                Argument("network", value),
                "is not a network",
                f"give {', '.join(NAMED)}, a .yaml file or a list of layers",
            )
        if isinstance(value, str | Path):
            return cls._read(read_yaml(value), Path(value))
        return cls._read(value, Argument("network"))

    @classmethod
    def _read(cls, value: object, subject: Words) -> "Architecture":
        init, items = "keras", value
        if isinstance(value, Mapping):
            init, items = _parts(value, subject)
        if not isinstance(items, list | tuple):
            raise InputError(
                subject,
                f"is {layers.shown(items)}, not a network",
                "give a list of layers, such as [Flatten, Linear]",
            )
        if len(items) > MAX_LAYERS:
            raise InputError(subject, f"has {len(items):,} layers", f"give at most {MAX_LAYERS}")
        pairs = [_pair(i, item) for i, item in enumerate(items, 1)]
        if pairs and pairs[-1][0] in layers.LAST:
            _check_last(len(pairs), *pairs.pop())
        if not pairs:
            raise InputError(subject, "has no layers", "end with Flatten and Linear")
        specs = []
        for i, (kind, given) in enumerate(pairs, 1):
            layers.check_kind(i, kind)
            specs.append(LayerSpec(kind, layers.check_arguments(i, kind, given)))
        _check_last_widths(specs)
        return cls(tuple(specs), init)

    def _with_dropout(self, rate: float) -> "Architecture":
        changed = [
            LayerSpec(spec.kind, {"p": rate}) if spec.kind.startswith("Dropout") else spec
            for spec in self.layers
        ]
        return Architecture(tuple(changed), self.init)

    def plain(self) -> dict[str, Any]:
        """Return the network as plain values, which `of` takes."""
        return {"init": self.init, "layers": [spec.plain() for spec in self.layers]}

    def difference(self, other: "Architecture") -> str | None:
        """Return in what `other` first differs, both values named; None where it doesn't."""
        for i, pair in enumerate(zip_longest(self.layers, other.layers), 1):
            if pair[0] != pair[1]:
                own, its = ("missing" if one is None else one.plain() for one in pair)
                return f"layer {i} is {its}, not {own}"
        return None if self.init == other.init else f"init is {other.init}, not {self.init}"

    def names(self) -> list[str]:
        """Return the layers' names: the kind's stem, and a number where there can be several."""
        stems = [layers.KINDS[spec.kind].stem for spec in self.layers]
        total, seen, found = Counter(stems), Counter[str](), []
        for spec, stem in zip(self.layers, stems, strict=True):
            seen[stem] += 1
            numbered = layers.KINDS[spec.kind].numbered or total[stem] > 1
            found.append(f"{stem}{seen[stem]}" if numbered else stem)
        return found


Value = str | Path | list[Any] | dict[str, Any] | Architecture


def current_name(name: str) -> str:
    """Return today's name of a weight that an older checkpoint of a named network holds.

    The last layer of `small` was called `dense`; the other layers with weights keep their names.
    """
    return re.sub(r"(^|\.)dense\.", r"\1dense1.", name)


def _check_dropout(value: object, dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise InputError(
            Argument("dropout", dropout), "is out of range", "give at least 0 and below 1"
        )
    if not (isinstance(value, str) and value in NAMED):
        raise InputError(
            Argument("dropout", dropout),
            "is for the networks that have a name",
            "write the rate in the list of layers",
        )


def _parts(value: Mapping[Any, Any], subject: Words) -> tuple[str, object]:
    """Return `init` and `layers` of a mapping."""
    if CONFIG & value.keys():
        raise InputError(subject, "is a config, not a network", "give its `network` list alone")
    if "layers" not in value or value.keys() - {"init", "layers"}:
        keys = ", ".join(layers.shown(key) for key in list(value)[:5])
        raise InputError(
            subject, f"has the keys {keys or '{}'}", "give `layers`, and `init` where you like"
        )
    init = value.get("init", "keras")
    if init not in INITS:
        raise InputError(subject, f"has init {layers.shown(init)}", f"give {' or '.join(INITS)}")
    return init, value["layers"]


def _pair(number: int, item: object) -> tuple[Any, object]:
    """Return a layer's kind and arguments, not yet checked."""
    if isinstance(item, str):
        return item, None
    if isinstance(item, Mapping) and len(item) == 1:
        ((kind, given),) = item.items()
        return kind, given
    remedy = "write such as ReLU, Linear: 64 or Conv2d: {out_channels: 32, kernel_size: 3}"
    raise InputError(f"layer {number}:", f"it is {layers.shown(item)}", remedy)


def _check_last(number: int, kind: str, given: object) -> None:
    if given not in (None, {}, {"dim": 1}):
        raise InputError(
            layers.at(number, kind), f"it is given {layers.shown(given)}", "it takes no arguments"
        )


def _check_last_widths(specs: list[LayerSpec]) -> None:
    """Refuse two layers that both take the number of classes for theirs."""
    open_ended = [
        i
        for i, spec in enumerate(specs, 1)
        if spec.kind == "Linear" and "out_features" not in spec.arguments
    ]
    if len(open_ended) > 1:
        first, second = open_ended[:2]
        raise InputError(
            layers.at(second, "Linear"),
            f"it has no number, nor has layer {first}",
            f"give layer {first} its number, such as Linear: 64",
        )
