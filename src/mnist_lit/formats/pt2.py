"""A network as a PT2 archive of torch.export: it runs without this package's code."""

import copy
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist_lit.files import atomic_write
from mnist_lit.network.network import Network


def write(path: Path, network: Network, *, metadata: Mapping[str, Any]) -> None:
    """Write the network, from float32 images N×1×S×S to log-probabilities N×classes.

    S is the network's own image size.
    """
    # The archive takes weights in the usual layout only; channels-last ones raise a warning.
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    side = network.image_size
    program = torch.export.export(
        network.eval(),
        # The exporter would take a batch of one for a constant.
        (torch.zeros(2, 1, side, side),),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"metadata.json": json.dumps(dict(metadata))})
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function in a file that `write` wrote; never give it an untrusted file."""
    module: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return module
