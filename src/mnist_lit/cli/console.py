"""What reaches the terminal besides a command's own results: log messages and errors."""

import logging
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mnist_lit.errors import printable

WIDTH = 76  # of the text in a box


def show(text: str, stream: TextIO) -> None:
    """Print text on lines of its own, above any progress bar."""
    # The class is there only if something has imported it.
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        print(text, file=stream, flush=True)
    else:
        tqdm.write(text, file=stream)
        stream.flush()


def show_error(text: str) -> None:
    """Print a command's last line on stderr; progress bars that are left disappear."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.leave = False
        bar.close()
    print(printable(text), file=sys.stderr, flush=True)


def box(paragraphs: list[str]) -> str:
    """Return paragraphs as wrapped lines in a box."""
    lines = [line for text in paragraphs for line in textwrap.wrap(text, WIDTH)]
    edge = f"+-{'-' * WIDTH}-+"
    return "\n".join([edge, *(f"| {line:<{WIDTH}} |" for line in lines), edge])


class Handler(logging.Handler):
    """Prints messages on stdout and warnings on stderr, those of several lines in a box."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = [printable(line) for line in record.getMessage().split("\n")]
        if record.levelno < logging.WARNING:
            show("\n".join(lines), sys.stdout)
        elif len(lines) > 1:
            show(box([f"WARNING: {lines[0]}", *lines[1:]]), sys.stderr)
        else:
            show(f"warning: {lines[0]}", sys.stderr)


@contextmanager
def logged() -> Iterator[None]:
    """Print what the package logs for as long as the context lasts."""
    log, handler = logging.getLogger("mnist_lit"), Handler()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
