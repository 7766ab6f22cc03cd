"""Files: written whole or not at all, and YAML that a reader can take."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import platformdirs
import yaml

from mnist_lit.errors import InputError

MAX_YAML = 1_000_000  # bytes; a run's own config has two thousand
MAX_DEPTH = 50


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


def cache_folder() -> Path:
    """Return the user's folder for what can be made again."""
    return platformdirs.user_cache_path("mnist-lit")


# What array files and tables of images are called.
TABLE_SUFFIXES = (".npz", ".csv", ".csv.gz")


def is_table(path: str | Path) -> bool:
    """Tell whether a file is named like an array file or a table, with many images."""
    return str(path).casefold().endswith(TABLE_SUFFIXES)


def sha256(path: Path) -> str:
    """Return a file's checksum as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the checksum of text, which may hold the names of any files."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def check_yaml(path: str | Path) -> str:
    """Return the text of a YAML file that would neither take minutes nor exhaust a reader's stack.

    Raises:
        InputError: The file is not there, isn't YAML, is too large, is nested too deep, or
            multiplies itself by aliases.
    """
    path = Path(path)
    depth = 0
    try:
        if path.is_file() and path.stat().st_size > MAX_YAML:
            raise InputError(path, "is larger than 1 MB", "give another file")
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
                raise InputError(path, "is nested too deep or uses aliases", "write it plainly")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _not_yaml(path, error) from error
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        problem = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise InputError(path, problem, "give the path of a YAML file") from error
    return text


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds, as plain values.

    Raises:
        InputError: As for `check_yaml`.
    """
    text = check_yaml(path)
    try:
        return yaml.safe_load(text)
    except Exception as error:  # a malformed value can make the reader raise anything
        raise _not_yaml(Path(path), error) from error


def _not_yaml(path: Path, error: Exception) -> InputError:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        what = f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'it cannot be read'}"
        return InputError(path, f"is not YAML ({what})", "fix the line, perhaps its indentation")
    what = " ".join(str(error).split())[:200]
    return InputError(path, f"is not YAML ({what})", "fix the line")
