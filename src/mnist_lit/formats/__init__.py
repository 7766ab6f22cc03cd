"""Weights in the formats of others: for each a function that writes and one that reads back."""

from collections.abc import Mapping
from typing import Any


def graph_metadata(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an exported graph says of itself."""
    names = ("network", "dataset", "class_names", "preprocessing")
    return {name: hyper_parameters[name] for name in names} | {
        "input": "images: float32 N×1×28×28 in [0, 1], light ink on a dark ground",
        "output": "log_probabilities: float32 N×classes",
    }
