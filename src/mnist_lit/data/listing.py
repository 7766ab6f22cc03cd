"""Which files in a folder are pictures of which class."""

import contextlib
import mimetypes
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mnist_lit import class_names
from mnist_lit.data.splits import listed
from mnist_lit.data.values import natural
from mnist_lit.errors import InputError
from mnist_lit.pictures.decoding import SUFFIXES

# What people call the folders of splits.
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


class File(NamedTuple):
    """A picture's file."""

    part: str  # `train`, `val` or `test`; empty where no folder says
    label: int
    name: str  # relative to the data set's folder
    size: int
    changed: int  # nanoseconds

    @property
    def state(self) -> tuple[str, int, int]:
        """What changes whenever the file does."""
        return self.name, self.size, self.changed


class Listing(NamedTuple):
    """What a folder holds."""

    class_names: list[str]
    files: list[File]
    strays: list[str]  # pictures and folders that are in no class's folder
    empty: list[str]  # classes' folders without a picture


def scan(path: Path) -> Listing:
    """List a folder's classes and pictures in order, and what is left out.

    Raises:
        InputError: There aren't two classes, or a folder cannot be read.
    """
    roots = [root for root in _visible(path) if root.is_dir()]
    parts = _parts(path, roots)
    strays = _pictures(path)
    strays += [root for root in roots if parts and root not in parts]
    found: list[tuple[str, str, Path]] = []  # part, class and file
    empty: list[Path] = []
    for root, part in (parts or {path: ""}).items():
        if part:
            strays += _pictures(root)
        for folder in _visible(root):
            if folder.is_dir():
                inside = [file for file in _files(folder) if _is_picture(file)]
                found += [(part, as_text(folder.name), file) for file in inside]
                if not inside:
                    empty.append(folder)
    names = sorted({name for _, name, _ in found}, key=lambda name: (natural(name), name))
    if problem := class_names.problem(names):
        raise InputError(
            path,
            problem if names else "holds no pictures in folders",
            "put the pictures of each class into a folder of its name, <class>/… or "
            "train/<class>/… and test/<class>/…",
        )
    labels = {name: label for label, name in enumerate(names)}
    files = [_file(path, part, labels[name], file) for part, name, file in found]
    # By their own names first, so that classes are mixed where names number the whole set.
    files.sort(key=lambda file: (natural(Path(file.name).name), file.name))
    return Listing(names, files, _relative(strays, path), _relative(empty, path))


def as_text(name: str) -> str:
    """Return a file's name as text: composed, unlike macOS's, and without undecodable bytes."""
    whole = name.encode(errors="surrogateescape").decode(errors="replace")
    return unicodedata.normalize("NFC", whole)


def _parts(path: Path, roots: Sequence[Path]) -> dict[Path, str]:
    """Return the folders that hold a split, and which; none where folders are classes.

    Raises:
        InputError: There are only folders of splits, but not both of training and test pictures.
    """
    parts = {root: PARTS[root.name.casefold()] for root in roots if root.name.casefold() in PARTS}
    if {"train", "test"} <= set(parts.values()):
        return parts
    if roots and len(parts) == len(roots):
        raise InputError(
            path,
            f"holds {listed([root.name for root in roots])} but not folders of both training and "
            "test pictures",
            f"add {path / 'test'}, or name {roots[0]}, and a fifth of each class is set apart for "
            "test",
        )
    return {}


def _file(path: Path, part: str, label: int, file: Path) -> File:
    size, changed = 0, 0  # of a link that leads nowhere
    with contextlib.suppress(OSError):
        status = file.stat()
        size, changed = status.st_size, status.st_mtime_ns
    return File(part, label, str(file.relative_to(path)), size, changed)


def _visible(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise InputError(
            folder, f"cannot be read ({error.strerror})", "fix its permissions"
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if not path.is_dir():
            yield path
        elif not path.is_symlink():  # a link may lead round in a circle
            yield from _files(path)


def _pictures(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if _is_picture(path) and not path.is_dir()]


def _is_picture(path: Path) -> bool:
    """Tell whether a file is named like a picture, of a kind that can be read or not."""
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix.lower() in SUFFIXES or (kind or "").startswith("image/")


def _relative(paths: Sequence[Path], path: Path) -> list[str]:
    return [as_text(str(left.relative_to(path))) for left in paths]
