"""The help of `fit`, `validate` and `test`, kept so that it need not be made again.

The parser that makes it needs Lightning, which takes seconds to import. What it says depends on
versions alone.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import os
import platform
import shutil
from pathlib import Path

from mnist_lit.files import atomic_write, cache_folder

PACKAGES = ("mnist-lit", "jsonargparse", "lightning", "torch")
SOURCES = Path(__file__).parents[1]


def text(command: str) -> str:
    """Return what a command's `--help` prints."""
    kept = cache_folder() / f"help-{command}-{_key()}.txt"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    found = _made(command)
    with contextlib.suppress(OSError), atomic_write(kept) as file:
        file.write(found.encode())
    return found


def _made(command: str) -> str:
    """Let the command's parser make its help."""
    from mnist_lit.cli.training import CLI

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        CLI(command, ["--help"])
    return said.getvalue()


def _key() -> str:
    """Return what changes where the help may be another."""
    parts = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    # Where the package is worked on, its version stays and its files change.
    newest = max(path.stat().st_mtime_ns for path in SOURCES.rglob("*.py"))
    parts += [platform.python_version(), str(newest), str(SOURCES)]
    parts += [str(shutil.get_terminal_size().columns), os.environ.get("MNIST_LIT_DATA_DIR", "")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
