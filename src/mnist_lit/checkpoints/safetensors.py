"""A checkpoint's weights as a safetensors file that says what they are and how they came to be."""

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

# The weights that come with the package; `make weights` makes them again.
PRETRAINED = Path(__file__).parents[1] / "pretrained.safetensors"


def _sha256(weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()


def write(path: Path, checkpoint: Mapping[str, Any], *, summary: Mapping[str, Any]) -> None:
    """Write the weights of a checkpoint, with what is needed to use them and to make them again.

    Args:
        path: The file.
        checkpoint: What `checkpoints.read` returned.
        summary: Figures and versions of the run.
    """
    weights = {name: value.contiguous() for name, value in checkpoint["state_dict"].items()}
    # A checkpoint that `fit` did not write has no configuration.
    kept = ("hyper_parameters", "config", "epoch")
    metadata = {name: checkpoint[name] for name in kept if name in checkpoint}
    if data := metadata.get("config", {}).get("data"):
        # Of no use where the file goes, and nobody's business there.
        data = {name: value for name, value in data.items() if name != "data_dir"}
        metadata["config"] = metadata["config"] | {"data": data}
    metadata["summary"] = dict(summary)
    metadata["sha256"] = _sha256(weights, metadata)
    with atomic_write(path) as file:
        file.write(save(weights, {name: json.dumps(value) for name, value in metadata.items()}))


def read(path: Path) -> dict[str, Any]:
    """Return what `write` was given, as one dictionary.

    Raises:
        InputError: The file is damaged or was not written by `write`.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file: take another copy") from error
    if metadata.pop("sha256", None) != _sha256(weights, metadata):
        raise InputError(f"{path} is damaged, or not of mnist-lit (sha256): take another copy")
    return {"state_dict": weights} | metadata


def main() -> None:
    """Take the newest run's last epoch as the weights that come with the package."""
    from mnist_lit.checkpoints import checkpoint as checkpoints
    from mnist_lit.runs import run as runs

    run = runs.newest(Path("runs"))
    write(PRETRAINED, checkpoints.read(run.last), summary=json.loads(run.summary.read_text()))
    print(f"{run.last} -> {PRETRAINED}, {PRETRAINED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
