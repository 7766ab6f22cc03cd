"""The notebook's network as one web page to draw on, which opens from disk."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.network.network import Network
from mnist_lit.templating import template

LAYERS = ("conv1", "conv2", "conv3", "dense1", "dense2")


def _order(weight: Tensor) -> tuple[int, ...]:
    # The page's loops run over filters innermost: (height, width, in, out).
    return (2, 3, 1, 0) if weight.ndim == 4 else (1, 0) if weight.ndim == 2 else (0,)


def write(path: Path, content: Mapping[str, Any], network: Network) -> None:
    """Write the page. Its weights are the checkpoint's float32 ones, bit for bit, in base64."""
    weights = network.state_dict()
    parts = [weights[f"{layer}.{kind}"] for layer in LAYERS for kind in ("weight", "bias")]
    arrays = [part.permute(_order(part)).contiguous().numpy().astype("<f4") for part in parts]
    text = base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode()
    values = content["hyper_parameters"]
    names, preprocessing = values["class_names"], values["preprocessing"]
    # Pictures that are no ink on paper may have numbers for names: they are no digits to draw.
    digits = preprocessing != "plain" and names == [str(n) for n in range(10)]
    show = "Show a picture" if preprocessing == "plain" else "Draw a character"
    page = template("draw.html").render(
        title="Draw a digit" if digits else show,
        names=names,
        digits=digits,
        preprocessing=preprocessing,
        dataset=values["dataset"],
        parameters=sum(part.numel() for part in parts),
        weights=text,
    )
    with atomic_write(path) as file:
        file.write(page.encode(errors="replace"))


def read(path: Path) -> Network:
    """Return the network whose weights are in a page that `write` wrote.

    Raises:
        InputError: The page holds no such weights.
    """
    page = path.read_text("utf-8")
    text = re.search(r'<script id="weights"[^>]*>([A-Za-z0-9+/=\s]*)</script>', page)
    names = re.search(r"^const NAMES = (\[.*\]);$", page, re.M)
    if not (text and names):
        raise InputError(f"{path} is not a page of mnist-lit: export it again")
    network = Network(len(json.loads(names[1])))
    values = torch.from_numpy(np.frombuffer(base64.b64decode(text[1]), "<f4").copy())
    weights, at = network.state_dict(), 0
    need = sum(own.numel() for own in weights.values())
    if need != len(values):
        raise InputError(f"{path} holds {len(values):,} weights, not {need:,}: export it again")
    for layer in LAYERS:
        for kind in ("weight", "bias"):
            own = weights[f"{layer}.{kind}"]
            order = _order(own)
            shape = [own.shape[axis] for axis in order]
            part = values[at : at + own.numel()].view(shape)
            own.copy_(part.permute([order.index(axis) for axis in range(own.ndim)]))
            at += own.numel()
    return network.eval()


def main() -> None:
    """Write the page of the packaged weights that can be opened without an installation."""
    network, _ = checkpoints.load_network("pretrained")
    assert isinstance(network, Network)
    write(Path("docs/draw.html"), checkpoints.read("pretrained"), network)


if __name__ == "__main__":
    main()
