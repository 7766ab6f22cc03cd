"""A network as one ONNX file with a dynamic batch: float images in, log-probabilities out."""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write

OPSET = 20
NEEDS = 'ONNX needs the extra packages: python -m pip install "mnist-lit[export]"'


def write(path: Path, network: nn.Module, *, metadata: Mapping[str, Any]) -> None:
    """Write the network with input `images`, float32 N×1×28×28, and output `log_probabilities`.

    Raises:
        InputError: The packages of the extra `export` are missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(NEEDS) from error
    # A batch of one would be taken for a constant.
    example = (torch.zeros(2, 1, 28, 28),)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(
            copy.deepcopy(network).eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["log_probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for name, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value)
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the file's function from images to log-probabilities, run by onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(NEEDS) from error
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (answer,) = session.run(["log_probabilities"], {"images": images.numpy()})
        return torch.from_numpy(answer)

    return run
