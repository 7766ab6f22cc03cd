"""What tests share besides fixtures: where things are, and what a command line answered."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mnist_lit.errors import Argument, Words

REPOSITORY = Path(__file__).parent.parent


def real_folder(kind: str) -> Path:
    """Return the folder that MNIST_LIT_<kind>_DIR named at the start, or skip the test."""
    folder = os.environ.get(f"MNIST_LIT_TEST_{kind}")
    if folder is None:
        pytest.skip(f"needs MNIST_LIT_{kind}_DIR")
    return Path(folder)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Answer]

# A real training that takes about a second: 10 batches of 32 in an epoch on the embedded sample.
SHORT = ("--data.source", "sample", "--trainer.limit_train_batches", "10")


def parts(words: Words) -> tuple[str | Path | Argument, ...]:
    """Return the parts of an error's subject, problem or remedy."""
    return (words,) if isinstance(words, str | Path | Argument) else words
