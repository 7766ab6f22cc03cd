"""`metrics.csv`: a row an epoch."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.runs.run import Run

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")


def write(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one row an epoch; a quantity that wasn't measured stays empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(run.metrics) as file:
        file.write(text.getvalue().encode())


def read(run: Run) -> list[dict[str, Any]]:
    """Return the rows as numbers; a quantity that wasn't measured is None.

    Raises:
        InputError: The run has no such file, or it is damaged.
    """
    try:
        with run.metrics.open(newline="", encoding="utf-8") as file:
            rows = [
                {name: float(row[name]) if row[name] else None for name in COLUMNS}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(run.metrics, "cannot be read", "name a folder that `fit` made") from error
    return [row | {"epoch": int(row["epoch"] or 0)} for row in rows]
