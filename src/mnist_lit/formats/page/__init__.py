"""Any network as one web page to draw on, which opens from disk and asks for nothing.

`draw.html` and `draw.css` are the page's own, `network.js` runs the layers, `pictures.js` turns a
picture into the network's input and `page.js` joins them. `write` puts them all into one file.
"""

import base64
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.network.inference import LEAST_DOUBT, SURER, UNSURE
from mnist_lit.network.layers import KINDS
from mnist_lit.network.network import Layer, Network
from mnist_lit.pictures.constants import PUBLISHED_SIDE
from mnist_lit.pictures.preprocessing import CONSTANTS
from mnist_lit.templating import template

SCRIPTS = ("network.js", "pictures.js", "page.js")
# A page of 43 MB, and about three seconds an answer.
MAX_PARAMETERS = 8_000_000
MAX_PRODUCTS = 2_000_000_000


def check(network: Network) -> None:
    """Raise InputError where a browser would be too slow or too small for the network."""
    parameters = sum(layer.parameters for layer in network.layers)
    products = sum(_products(network.get_submodule(layer.name), layer) for layer in network.layers)
    remedy = "use safetensors, onnx or pt2"
    if parameters > MAX_PARAMETERS:
        problem = f"has {parameters:,} parameters, and a page holds {MAX_PARAMETERS:,}"
        raise InputError("it", problem, remedy)
    if products > MAX_PRODUCTS:
        problem = f"takes {products:,} multiplications an image, and a page {MAX_PRODUCTS:,}"
        raise InputError("it", problem, remedy)


def write(path: Path, checkpoint: Checkpoint, network: Network) -> None:
    """Write the page. Its weights are the network's float32 ones, bit for bit, in base64.

    Raises:
        InputError: The network is too large for a browser.
    """
    check(network)
    model = _model(checkpoint, network)
    words = "Show a picture" if checkpoint.preprocessing == "plain" else "Draw a character"
    page = template("draw.html").render(
        title="Draw a digit" if model["digits"] else words,
        names=checkpoint.class_names,
        preprocessing=checkpoint.preprocessing,
        dataset=checkpoint.dataset,
        parameters=sum(layer.parameters for layer in network.layers),
        side=network.image_size,
        box=_ink_box(checkpoint.preprocessing, network.image_size),
        css=_part("draw.css"),
        scripts=[_part(name) for name in SCRIPTS],
        model=_json(model),
        weights=base64.b64encode(_bytes(network)).decode(),
    )
    with atomic_write(path) as file:
        file.write(page.encode(errors="replace"))


def read(path: Path) -> Network:
    """Return the network in a page that `write` wrote, ready to evaluate.

    Raises:
        InputError: The page holds no such network.
    """
    page = path.read_text("utf-8")
    model = re.search(r'<script id="model" type="application/json">(.*)</script>', page)
    text = re.search(r'<script id="weights"[^>]*>([A-Za-z0-9+/=\s]*)</script>', page)
    if not (model and text):
        raise InputError(path, "is not a page of mnist-lit", "export it again")
    try:
        values, data = json.loads(model[1]), base64.b64decode(text[1])
        counts = values["counts"]
        network = Network(
            len(values["class_names"]), network=values["network"], image_size=values["image_size"]
        )
        _fill(network, np.frombuffer(data, "<f4"), counts)
    except (LookupError, TypeError, ValueError) as error:  # InputError is a ValueError
        problem = f"is a damaged page of mnist-lit ({error})"
        raise InputError(path, problem, "export it again") from error
    return network.eval()


def _fill(network: Network, values: NDArray[np.float32], counts: Mapping[str, int]) -> None:
    """Put the page's values into the network's tensors."""
    weights, counters = _split(network)
    sizes = [weight.numel() for weight in weights.values()]
    if len(values) != sum(sizes):
        raise ValueError(f"it holds {len(values):,} weights, not {sum(sizes):,}")
    parts = np.split(values, np.cumsum(sizes[:-1]))
    for weight, part in zip(weights.values(), parts, strict=True):
        weight.copy_(torch.from_numpy(part.copy()).view(weight.shape))
    for name, counter in counters.items():
        counter.fill_(counts[name])


def _products(module: nn.Module, layer: Layer) -> int:
    """Return how many products of a weight and a value a layer computes for an image."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    places = layer.shape[1:] if isinstance(module, nn.Conv2d) else ()
    return module.weight.numel() * int(np.prod(places, dtype=np.int64))


def _split(network: Network) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the network's own tensors by name: its weights, and what batch norms count."""
    state = network.state_dict()
    weights = {name: value for name, value in state.items() if value.is_floating_point()}
    return weights, {name: value for name, value in state.items() if name not in weights}


def _bytes(network: Network) -> bytes:
    weights, _ = _split(network)
    return b"".join(
        value.contiguous().numpy().astype("<f4").tobytes() for value in weights.values()
    )


def _model(checkpoint: Checkpoint, network: Network) -> dict[str, Any]:
    """Return everything but the weights that the page's scripts and `read` need."""
    weights, counts = _split(network)
    names = checkpoint.class_names
    return {
        "network": network.architecture.plain(),
        "layers": [_layer(network.get_submodule(layer.name), layer) for layer in network.layers],
        "weights": {name: list(value.shape) for name, value in weights.items()},
        "counts": {name: int(value) for name, value in counts.items()},
        "image_size": network.image_size,
        "class_names": names,
        "preprocessing": checkpoint.preprocessing,
        # Pictures that aren't ink on paper may have numbers for names: no digits to draw.
        "digits": checkpoint.preprocessing != "plain" and names == [str(n) for n in range(10)],
        "unsure": UNSURE,
        "least_doubt": LEAST_DOUBT,
        "surer": SURER,
        "constants": CONSTANTS,
    }


def _layer(module: nn.Module, layer: Layer) -> dict[str, Any]:
    """Return a layer as `network.js` takes it: with torch's defaults in place."""
    allowed = KINDS[layer.kind].arguments if layer.kind in KINDS else ()
    return {
        "name": layer.name,
        "kind": layer.kind,
        # Whether there is a bias shows in the weights.
        "arguments": {name: getattr(module, name) for name in allowed if name != "bias"},
        "input": layer.input_shape,
        "output": layer.shape,
    }


def _ink_box(preprocessing: str, side: int) -> int:
    """Return the side of the ink's box in an image, in pixels; 0 where ink isn't looked for."""
    longer: float = CONSTANTS.get(f"{preprocessing}_box", 0)
    return round(longer * side / PUBLISHED_SIDE)


def _json(model: dict[str, Any]) -> Markup:
    """Return JSON that can stand inside a script element."""
    return Markup(json.dumps(model).replace("<", "\\u003c"))


def _part(name: str) -> Markup:
    return Markup((resources.files(__name__) / name).read_text("utf-8"))
