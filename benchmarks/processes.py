"""Run a command line in its own process, and measure its time and memory."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

PYTHON = sys.executable


class Cost(NamedTuple):
    seconds: float
    megabytes: float  # the largest resident size


def run(*args: object, folder: str | Path = ".", source: Path | None = None) -> Cost:
    """Run `python ARGS…` in `folder` to its end, with another checkout's `src` if it is given.

    Raises:
        SystemExit: It failed.
    """
    command = [PYTHON, *map(str, args)]
    # The package's modules are kept as bytecode, as they are for its users.
    surroundings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if source:
        surroundings["PYTHONPATH"] = str(source.resolve())
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=surroundings)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost(seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10))
