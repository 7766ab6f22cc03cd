"""`summary.json`: what a finished run came to."""

import json
from collections.abc import Mapping
from typing import Any

from mnist_lit.errors import InputError
from mnist_lit.files import write_json
from mnist_lit.runs.run import Run


def write(run: Run, content: Mapping[str, Any]) -> None:
    write_json(run.summary, content)


def read(run: Run) -> dict[str, Any] | None:
    """Return the summary, or None where the run hasn't ended.

    Raises:
        InputError: The file is damaged.
    """
    if not run.summary.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(run.summary.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            run.summary, "cannot be read", "resume the run, which writes it"
        ) from error
    return content
