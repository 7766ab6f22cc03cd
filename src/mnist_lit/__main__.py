"""The command line as a process of its own."""

import atexit
import contextlib
import os
import sys

from mnist_lit.cli import main


def start() -> None:
    """Run the command line and end the process with its exit code."""
    codes: list[int] = []

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # no room, or closed: `main` said so
                print(end="", file=stream, flush=True)
        if codes:
            os._exit(codes[0])

    # Python would first take apart all that was imported: a tenth of a short command.
    atexit.register(end)  # the first is run last, after every other clean-up
    codes.append(main())
    sys.exit(codes[0])


if __name__ == "__main__":
    start()
