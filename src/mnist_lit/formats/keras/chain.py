"""A model's description as Keras writes it, as one chain of layers from input to output."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mnist_lit.errors import InputError, printable

MODELS = ("Sequential", "Functional", "Model")
MAX_DEPTH = 20  # of models inside models


class Place(NamedTuple):
    """Where a file holds a layer's arrays.

    Args:
        group: The name of the layer, or of the outermost model that it is part of.
        inside: The layer's own name, where it is part of a model inside the model.
        path: From the outside in, each model's and the layer's class and number within its class.
    """

    group: str
    inside: str | None
    path: tuple[tuple[str, int], ...]


class KerasLayer(NamedTuple):
    kind: str  # the class
    name: str
    config: Mapping[str, Any]
    place: Place


class Chain(NamedTuple):
    layers: list[KerasLayer]
    # What keeps the model from being one chain, an entry a layer; then `layers` is in no order.
    refused: list[str]


def snake_case(kind: str) -> str:
    """Return the name that Keras gives to layers of a class."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()


def label(name: str, kind: str) -> str:
    """Return a layer as errors and tables call it."""
    return f"{shown(name)} ({shown(kind)})"


def shown(value: Any) -> str:
    """Return a value of an untrusted file on one line."""
    text = "×".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return printable(text if len(text) <= 60 else f"{text[:60]}…")


def read(model: Any) -> Chain:
    """Return the chain of a whole model, with those of models inside it put in their places.

    Raises:
        InputError: It isn't a model of layers.
    """
    if not (isinstance(model, Mapping) and model.get("class_name") in MODELS):
        kind = model.get("class_name") if isinstance(model, Mapping) else None
        raise InputError(
            "its model",
            f"is of class {shown(kind)}",
            "only a Sequential or Functional model says its layers",
        )
    found = Chain([], [])
    _walk(model, None, (), found)
    return found


def placed(layers: list[tuple[str, str, dict[str, Any]]]) -> list[KerasLayer]:
    """Return layers, given as class, name and configuration, with their places."""
    counts = Counter[str]()
    found = []
    for kind, name, config in layers:
        stem = snake_case(kind)
        found.append(KerasLayer(kind, name, config, Place(name, None, ((stem, counts[stem]),))))
        counts[stem] += 1
    return found


def _walk(
    model: Mapping[str, Any], group: str | None, path: tuple[tuple[str, int], ...], found: Chain
) -> None:
    if len(path) > MAX_DEPTH:
        raise InputError("its model", "holds models in too many levels", "save a flat model")
    config = model["config"]
    # Early Keras 2 gives a Sequential's layers as a bare list.
    items = config if isinstance(config, list) else config["layers"]
    counts = Counter[str]()
    layers = {}
    for item in items:
        kind, name = (
            str(item["class_name"]),
            str(item["config"]["name"])
            if isinstance(item["config"], Mapping)
            else str(item.get("name", item["class_name"])),
        )
        stem = snake_case(kind)
        layers[name] = (item, kind, (*path, (stem, counts[stem])))
        counts[stem] += 1
    if len(layers) != len(items):
        raise InputError("its model", "has layers of the same name", "give each its own")
    order = list(layers)
    if model["class_name"] != "Sequential":
        order = _ordered({name: item for name, (item, _, _) in layers.items()}, config, found)
    for name in order:
        item, kind, its_path = layers[name]
        if kind in MODELS:
            _walk(item, group or name, its_path, found)
            continue
        place = Place(group or name, name if group else None, its_path)
        its_kind = f"{shown(item.get('module'))}>{kind}" if _is_foreign(item) else kind
        found.layers.append(KerasLayer(its_kind, name, dict(item["config"]), place))


def _is_foreign(item: Mapping[str, Any]) -> bool:
    """Return whether the class isn't Keras's own, though it may have the name of one."""
    module = item.get("module")
    if ">" in str(item.get("registered_name")):  # package and class
        return True
    return module is not None and str(module).split(".")[0] not in ("keras", "tf_keras")


def _ordered(
    items: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any], found: Chain
) -> list[str]:
    """Return the names in the order in which values pass through the layers."""
    sources = {name: list(_sources(item.get("inbound_nodes"))) for name, item in items.items()}
    readers = Counter(source for names in sources.values() for source in names)
    before = len(found.refused)
    for name, names in sources.items():
        what = label(name, str(items[name]["class_name"]))
        if len(items[name].get("inbound_nodes") or ()) > 1:
            found.refused.append(f"{what} is used {len(items[name]['inbound_nodes'])} times")
        elif len(names) > 1:
            found.refused.append(f"{what} joins {len(names)} branches")
        elif readers[name] > 1:
            found.refused.append(f"{what} leads into {readers[name]} branches")
    follower = {names[0]: name for name, names in sources.items() if len(names) == 1}
    starts = [name for name, names in sources.items() if not names]
    order = starts[:1]
    while order and order[-1] in follower and len(order) <= len(items):
        order.append(follower[order[-1]])
    outputs = list(dict.fromkeys(_sources([config.get("output_layers", [])])))
    if len(found.refused) == before and (
        len(order) != len(items) or outputs not in ([], order[-1:])
    ):
        found.refused.append("its layers are not one chain from one input to one output")
    return order if len(found.refused) == before else list(items)


def _sources(nodes: Any) -> Iterator[str]:
    """Yield the names of the layers that a layer's `inbound_nodes`, of Keras 2 or 3, speak of."""
    if isinstance(nodes, Mapping):
        if "keras_history" in nodes:
            yield str(nodes["keras_history"][0])
        else:
            nodes = list(nodes.values())
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str):
            yield nodes[0]
        else:
            for node in nodes:
                yield from _sources(node)
