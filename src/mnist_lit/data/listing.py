"""Which files in a folder are pictures of which class."""

import contextlib
import mimetypes
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mnist_lit.data.splits import listed
from mnist_lit.errors import InputError
from mnist_lit.pictures import preprocessing as pictures

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


def _natural(name: str) -> list[str | int]:
    """Return what sorts names as people do: numbers in them as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]


def as_text(name: str) -> str:
    """Return a file's name as text: composed, as macOS does not, and without what is no text."""
    whole = name.encode(errors="surrogateescape").decode(errors="replace")
    return unicodedata.normalize("NFC", whole)


def _visible(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read ({error.strerror}): mend its permissions"
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if not path.is_dir():
            yield path
        elif not path.is_symlink():  # which may lead round in a circle
            yield from _files(path)


def _is_picture(path: Path) -> bool:
    """Tell whether a file is named as a picture, be it of a kind that can be read or not."""
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix.lower() in pictures.SUFFIXES or (kind or "").startswith("image/")


def scan(path: Path) -> tuple[list[str], list[File], list[str], list[str]]:
    """Return the names of classes and the pictures, in order, and what was left out.

    Left out are pictures and folders in no class's folder, and folders without a picture.

    Raises:
        InputError: There are no two classes.
    """
    roots = [root for root in _visible(path) if root.is_dir()]
    parts = {root: PARTS.get(root.name.casefold(), "") for root in roots}
    if not {"train", "test"} <= set(parts.values()):
        if roots and all(parts.values()):
            raise InputError(
                f"{path} holds {listed([root.name for root in roots])} and no folders of both "
                f"training and test pictures: add {path}/test, or name {roots[0]}, and a fifth of "
                "each class is set apart for test"
            )
        parts = {path: ""}
    found: list[tuple[str, str, Path]] = []
    empty: list[Path] = []
    strays = [file for file in _visible(path) if _is_picture(file)]
    for root, part in parts.items():
        if not (part or root == path):
            strays.append(root)
            continue
        for folder in _visible(root):
            if folder.is_dir():
                name = as_text(folder.name)
                inside = [file for file in _files(folder) if _is_picture(file)]
                found += [(part, name, file) for file in inside]
                if not inside:
                    empty.append(folder)
            elif part and _is_picture(folder):
                strays.append(folder)
    names = sorted({name for _, name, _ in found}, key=lambda name: (_natural(name), name))
    if len(names) < 2:
        raise InputError(
            f"{path} holds pictures of {'one class' if names else 'no class'}: put each class's "
            "into a folder of its name, <class>/… or train/<class>/… and test/<class>/…"
        )
    labels = {name: label for label, name in enumerate(names)}
    files = []
    for part, name, file in found:
        size, changed = 0, 0  # of a link that leads nowhere
        with contextlib.suppress(OSError):
            status = file.stat()
            size, changed = status.st_size, status.st_mtime_ns
        files.append(File(part, labels[name], str(file.relative_to(path)), size, changed))
    # By their own names first, so that classes are mixed where names number the whole set.
    files.sort(key=lambda file: (_natural(Path(file.name).name), file.name))

    def relative(paths: list[Path]) -> list[str]:
        return [as_text(str(left.relative_to(path))) for left in paths]

    return names, files, relative(strays), relative(empty)
