"""The processor's cores: how many this process may use, and whether others keep them busy.

GNU OpenMP's threads spin where they wait for each other. Where another process takes a core, one
thread then spins for as long as the other waits for its turn, and training takes many times as
long. Threads that sleep instead cost little there, but a fifth of a quiet machine's speed.
"""

import os
import statistics
import time
from pathlib import Path

PROC = Path("/proc")
SAMPLES, PAUSE = 9, 0.005  # of the processes that are running, and seconds between


def available() -> int:
    """Return how many cores this process may use, the quota of its container included."""
    import joblib  # takes a while

    return int(joblib.cpu_count())


def share() -> None:
    """Let OpenMP's threads sleep where they wait, if other processes are using the cores.

    To be called before torch is loaded. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        return
    cores = os.cpu_count() or 1
    if running() > cores - available():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def shared() -> bool:
    """Tell whether OpenMP's threads sleep where they wait for each other."""
    return os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE" or bool(
        os.environ.get("GOMP_SPINCOUNT")
    )


def running() -> float:
    """Return how many other threads use or want a core of this machine now; 0 where not known."""
    found = []
    for _ in range(SAMPLES):
        try:
            found.append(int((PROC / "loadavg").read_text().split()[3].split("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return 0
        # Awake, so that another that begins at the same moment sees this one.
        until = time.monotonic() + PAUSE
        while time.monotonic() < until:
            pass
    return statistics.median(found)


def waited() -> float:
    """Return for how many seconds this process's threads have waited for a core; 0 if unknown."""
    total = 0
    for task in PROC.glob("self/task/*/schedstat"):
        try:
            total += int(task.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue  # the thread has ended
    return total / 1e9
