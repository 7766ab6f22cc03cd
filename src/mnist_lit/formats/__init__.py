"""Trained networks in the formats of others: for each, a file that writes and reads it."""

from typing import Any

from mnist_lit.checkpoints.checkpoint import Checkpoint


def graph_metadata(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what an exported graph says of itself, as plain values."""
    side = checkpoint.image_size
    return {
        "network": checkpoint.network.plain(),
        "dataset": checkpoint.dataset,
        "class_names": checkpoint.class_names,
        "preprocessing": checkpoint.preprocessing,
        "image_size": side,
        "input": f"images: float32 N×1×{side}×{side} in [0, 1], light ink on a dark ground",
        "output": "log_probabilities: float32 N×classes",
    }
