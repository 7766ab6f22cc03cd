"""How a contestant talks to the race: a line on stdin starts an epoch, `@ …` on stdout ends it.

Each contestant is called with the data folder and the number of epochs, in an empty folder.
"""

import sys
from collections.abc import Callable
from pathlib import Path

DATA_DIR = Path(sys.argv[1])
EPOCHS = int(sys.argv[2])


def wait() -> None:
    if not sys.stdin.readline():
        sys.exit("the race is over")


def tell(value: float = 0) -> None:
    print(f"\n@ {value}", flush=True)


def race(epoch: Callable[[], object], accuracy: Callable[[], float]) -> None:
    """Train an epoch at each word, then tell the test accuracy."""
    for _ in range(EPOCHS):
        wait()
        epoch()
        tell()
    tell(accuracy())
