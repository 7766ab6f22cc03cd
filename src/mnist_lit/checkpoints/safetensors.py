"""A checkpoint's weights as a safetensors file that says what they are and how they were made."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write

# Where something lay on the machine: of no use where the file goes, and private.
PLACES = (
    "config.data.data_dir", "config.model.teacher", "config.trainer.default_root_dir",
    "hyper_parameters.teacher", "summary.command",
)  # fmt: skip


def _without(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return nested values without the one at a dotted place."""
    first, _, rest = place.partition(".")
    others = {name: value for name, value in values.items() if name != first}
    if rest and first in values:
        others[first] = _without(values[first], rest)
    return others


def _sha256(weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()


def write(
    path: Path,
    weights: Mapping[str, Tensor],
    content: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> None:
    """Write weights, with what is needed to use them and to make them again.

    Args:
        path: The file.
        weights: The weights by name.
        content: A checkpoint's content, of which the description is kept.
        summary: The run's metrics and versions.
    """
    weights = {name: value.contiguous() for name, value in weights.items()}
    # A checkpoint that `fit` did not write has no configuration.
    kept = ("hyper_parameters", "config", "epoch")
    metadata = {name: content[name] for name in kept if name in content}
    metadata["summary"] = dict(summary)
    for place in PLACES:
        metadata = _without(metadata, place)
    metadata["sha256"] = _sha256(weights, metadata)
    with atomic_write(path) as file:
        file.write(save(weights, {name: json.dumps(value) for name, value in metadata.items()}))


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content from a file that `write` wrote.

    Raises:
        InputError: The file is damaged or was not written by `write`.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(path, "is not a whole safetensors file", "take another copy") from error
    if metadata.pop("sha256", None) != _sha256(weights, metadata):
        raise InputError(
            path, "is damaged, or not written by mnist-lit (sha256)", "take another copy"
        )
    return {"state_dict": weights} | metadata
