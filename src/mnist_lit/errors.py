"""Errors as values: what is wrong with which thing, and the remedy."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Argument(NamedTuple):
    """A Python argument that an error speaks of; the command line writes it as its option."""

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


Words = str | Path | Argument | tuple[str | Path | Argument, ...]


def printable(text: str) -> str:
    """Return `text` with everything that could move a terminal's cursor escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names as a list in words, cut off after `most`."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


class Failure(Exception):
    """An error in three parts, shown as one line: `subject problem: remedy`.

    Args:
        subject: The thing that is wrong: a file, an argument, a layer.
        problem: What is wrong with it.
        remedy: What to do.
    """

    def __init__(self, subject: Words, problem: Words, remedy: Words) -> None:
        super().__init__(subject, problem, remedy)
        self.subject = subject
        self.problem = problem
        self.remedy = remedy

    def line(self, spell: Callable[[Argument], str] = str) -> str:
        """Return the error as one line, with `spell` writing each argument."""

        def said(words: Words) -> str:
            parts = [words] if isinstance(words, str | Path | Argument) else words
            return " ".join(
                spell(part) if isinstance(part, Argument) else str(part) for part in parts
            )

        start = " ".join(filter(None, (said(self.subject), said(self.problem))))
        return f"{start}: {said(self.remedy)}" if self.remedy else start

    def __str__(self) -> str:
        return self.line()


class InputError(Failure, ValueError):
    """The user's input is wrong: an option, a file, a checkpoint (exit code 2)."""


class NotACheckpoint(InputError):
    """A file given as a checkpoint is damaged, or of another program."""


class RunError(Failure, RuntimeError):
    """The input was right but the work failed: disk, network, numbers (exit code 1)."""


class Interrupted(BaseException):
    """A signal asked the process to end. Not an Exception, so that no handler takes it for one."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.hint = ""  # what the user is told of what is kept
