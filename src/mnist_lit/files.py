"""Files that are either whole or not there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for writing; give it the name `path` once it is whole.

    The temporary file lies in the target's own folder, since a move between file systems is a
    copy, which can be cut short. A process killed while writing leaves `path` as it was.

    Raises:
        OSError: The file cannot be written; `path` is unchanged and the temporary file is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # not the temporary file's, or none where the disk is full
        raise


def sha256(path: Path) -> str:
    """Return a file's checksum as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the checksum of text, which may hold the names of any files."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
