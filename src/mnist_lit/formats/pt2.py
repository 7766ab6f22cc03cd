"""A network as a PT2 archive of torch.export: it runs without this package's code."""

import copy
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mnist_lit.files import atomic_write


def write(path: Path, network: nn.Module, *, metadata: Mapping[str, Any]) -> None:
    """Write the network, from float32 images N×1×28×28 to log-probabilities N×classes."""
    # The archive takes weights in the usual layout only; channels-last ones raise a warning.
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    program = torch.export.export(
        network.eval(),
        (torch.zeros(2, 1, 28, 28),),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"metadata.json": json.dumps(dict(metadata))})
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function in a file that `write` wrote; do not give it a stranger's."""
    module: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return module
