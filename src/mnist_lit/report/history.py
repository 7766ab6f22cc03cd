"""What a run's epochs tell: the best one, where it began to overfit, where it could have stopped.

Rows are those of `runs.metrics.read`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Rows = Sequence[Mapping[str, Any]]
PATIENCE = 5  # epochs that early stopping waits for a lower validation loss


class EarlyStop(NamedTuple):
    """Where early stopping would have ended a run, and the epochs and seconds it would save."""

    epoch: int
    epochs: int
    seconds: float


def validated(rows: Rows, quantity: str = "loss") -> Rows:
    """Return the rows of the epochs after which `loss` or `accuracy` was validated."""
    return [row for row in rows if row[f"val_{quantity}"] is not None]


def best_epoch(rows: Rows) -> int | None:
    """Return the epoch with the lowest validation loss, the first of several.

    None where nothing was validated.
    """
    best = min(validated(rows), key=lambda row: row["val_loss"], default=None)
    return int(best["epoch"]) if best else None


def parting(rows: Rows) -> int | None:
    """Return the epoch from which the validation loss stays above the training loss to the end.

    None where it doesn't, or nothing was validated.
    """
    part = None
    for row in reversed(validated(rows)):
        if row["val_loss"] <= row["train_loss"]:
            break
        part = int(row["epoch"])
    return part


def early_stop(rows: Rows) -> EarlyStop | None:
    """Return where early stopping with a patience of `PATIENCE` epochs would have ended the run.

    None where it wouldn't have, or where an epoch wasn't validated.
    """
    lowest, waited = math.inf, 0
    for i, row in enumerate(rows):
        if row["val_loss"] is None:
            return None
        lowest, waited = (row["val_loss"], 0) if row["val_loss"] < lowest else (lowest, waited + 1)
        rest = rows[i + 1 :]
        if waited == PATIENCE and rest:
            return EarlyStop(row["epoch"], len(rest), sum(later["seconds"] for later in rest))
    return None
