"""What tests share besides fixtures: where things are, and a command line's answer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parent.parent
MNIST = os.environ.get("MNIST_LIT_TEST_DATA")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Answer]

# A real training that takes about a second: 10 batches of 32 a epoch on the embedded sample.
SHORT = ("--data.source", "sample", "--trainer.limit_train_batches", "10")
