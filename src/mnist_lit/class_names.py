"""What makes the names of classes valid, wherever they come from."""

from collections.abc import Sequence

MAX_CLASSES = 10_000


def problem(names: Sequence[object]) -> str:
    """Return what is wrong with the names of a network's or data set's classes, or nothing."""
    n = len(names)
    if not 2 <= n <= MAX_CLASSES:
        return f"has {n:,} {'class' if n == 1 else 'classes'}, not 2 to {MAX_CLASSES:,}"
    if not all(isinstance(name, str) for name in names):
        return "has class names that are not text"
    if len(set(names)) < len(names):
        return "has class names that stand for two classes"
    return ""
