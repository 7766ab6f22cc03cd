"""The text of a table: plain or compressed, read in bounded memory."""

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Any

from mnist_lit.errors import InputError

MAX_LINE = 4_000_000  # bytes; a row of 256×256 pixels in 20 digits each has a third of it


class Text(io.RawIOBase):
    """The text of a table, plain or compressed, whose lines are of bounded length.

    The parser would read a line of gigabytes into memory, and everything that follows a quote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._line = 1
        self._length = 0  # of the line so far
        self._quotes = 0  # in the line so far
        self._error: InputError | None = None
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})", "fix it") from error
        start = self._file.peek(4)[:4]
        if start.startswith(b"PK"):
            raise InputError(path, "is a zip archive", "unpack it, and name the table in it")
        packed = start.startswith(b"\x1f\x8b")
        self._bytes = gzip.GzipFile(fileobj=self._file) if packed else self._file
        self.lines = io.TextIOWrapper(
            io.BufferedReader(self, 1 << 18), "utf-8-sig", errors="replace", newline=""
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._bytes.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise self._own(f"cannot be read to its end ({error})", "get it again") from error
        self._check(data)
        buffer[: len(data)] = data
        return len(data)

    def position(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._file.tell()

    def raise_own(self) -> None:
        """Raise the error that `readinto` raised, which the parser may have swallowed."""
        if self._error:
            raise self._error

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _check(self, data: bytes) -> None:
        lines = data.split(b"\n")
        if self._length + len(lines[0]) > MAX_LINE:
            raise self._own(
                f"has a line of more than {MAX_LINE // 10**6} MB, line {self._line:,}",
                "give a row of values in each line",
            )
        if self._quotes or b'"' in data:
            for i, line in enumerate(lines):
                self._quotes += line.count(b'"')
                if i < len(lines) - 1:
                    if self._quotes % 2:
                        raise self._own(
                            f"has a quote without its like in line {self._line + i:,}", "close it"
                        )
                    self._quotes = 0
        self._line += len(lines) - 1
        self._length = len(lines[-1]) + (self._length if len(lines) == 1 else 0)

    def _own(self, problem: str, remedy: str) -> InputError:
        self._error = InputError(self.path, problem, remedy)
        return self._error


def head(path: Path, most: int | None = None) -> tuple[str, list[list[str]]]:
    """Return what separates the cells of a table and its first rows, or all of them.

    Raises:
        InputError: It isn't text.
    """
    with Text(path) as text:
        lines: list[str] = []
        while (most is None or len(lines) < most) and (line := text.lines.readline()):
            lines += [line] if line.strip() else []
    if lines and "\0" in lines[0]:
        raise InputError(path, "is not text in UTF-8", "save it again as CSV in UTF-8")
    separator = max(",;\t", key=lines[0].count) if lines else ","
    return separator, [row for row in csv.reader(lines, delimiter=separator) if row]
