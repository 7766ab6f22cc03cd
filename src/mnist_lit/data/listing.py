"""Which files in a folder are pictures of which class."""

import contextlib
import mimetypes
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mnist_lit import class_names
from mnist_lit.data.text import head
from mnist_lit.data.values import natural
from mnist_lit.errors import InputError, listed
from mnist_lit.pictures.decoding import SUFFIXES

# What people call the folders of splits.
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


LABELS = "labels.csv"
FILE_NAMES = ("file", "filename", "file_name", "image", "path", "name", "id")
LABEL_NAMES = ("label", "labels", "class", "target", "y")

# A picture's part, class and file.
Listed = tuple[str, str, Path]


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
    listed_by_name = _listed(path)
    empty: list[Path] = []
    roots = _folders(path)
    if listed_by_name is not None:
        found, strays = listed_by_name, _unlisted(path, listed_by_name)
    else:
        found, strays, empty = _in_folders(path, roots)
    names = sorted({name for _, name, _ in found}, key=lambda name: (natural(name), name))
    if problem := class_names.problem(names):
        raise InputError(
            path,
            problem if names else "holds no pictures in folders",
            "put the pictures of each class into a folder of its name, <class>/… or "
            "train/<class>/… and test/<class>/…, or name each picture's class in labels.csv",
        )
    labels = {name: label for label, name in enumerate(names)}
    files = [_file(path, part, labels[name], file) for part, name, file in found]
    # By their own names first, so that classes are mixed where names number the whole set.
    files.sort(key=lambda file: (natural(Path(file.name).name), file.name))
    return Listing(names, files, _relative(strays, path), _relative(empty, path))


def _in_folders(path: Path, roots: Sequence[Path]) -> tuple[list[Listed], list[Path], list[Path]]:
    """Return the pictures in folders of classes, those in none, and folders without pictures."""
    parts = _parts(path, roots)
    strays = _pictures(path)
    strays += [root for root in roots if parts and root not in parts]
    found: list[Listed] = []
    empty: list[Path] = []
    for root, part in (parts or {path: ""}).items():
        if part:
            strays += _pictures(root)
        for folder in _folders(root):
            inside = [file for file in _files(folder) if _is_picture(file)]
            found += [(part, as_text(folder.name), file) for file in inside]
            if not inside:
                empty.append(folder)
    return found, strays, empty


def _listed(path: Path) -> list[Listed] | None:
    """Return the pictures whose classes a file `labels.csv` names; None where there is none.

    A folder of classes may have a file of that name for something else: what it names first isn't
    there then, and no picture lies beside it.

    Raises:
        InputError: It isn't such a file.
    """
    table = path / LABELS
    if not table.is_file():
        return None
    _, rows = head(table)
    names = [cell.strip().casefold() for cell in rows[0]] if rows else []
    labels = [i for i, name in enumerate(names) if name in LABEL_NAMES]
    files = [i for i, name in enumerate(names) if name in FILE_NAMES]
    if labels and files:
        rows, file, label = rows[1:], files[0], labels[0]
    else:
        file, label = 0, 1
        if rows and not (path / rows[0][0].strip()).is_file() and len(rows) > 1:
            rows = rows[1:]  # a header with other names
    if rows and not (path / rows[0][file].strip()).is_file() and not _pictures(path):
        return None
    found = {}
    for n, row in enumerate(rows, 1):
        cells = [row[i].strip() if i < len(row) else "" for i in (file, label)]
        if not all(cells):
            raise InputError(table, f"lacks a file or label in row {n:,}", "fix the row")
        if cells[0] in found:
            raise InputError(table, f"names {cells[0]} twice", "keep one of the rows")
        if not (path / cells[0]).resolve().is_relative_to(path.resolve()):
            raise InputError(table, f"names {cells[0]}, which is elsewhere", "move it beside it")
        found[cells[0]] = ("", as_text(cells[1]), path / cells[0])
    return list(found.values())


def _unlisted(path: Path, found: Sequence[Listed]) -> list[Path]:
    named = {file for _, _, file in found}
    return sorted(file for file in _files(path) if _is_picture(file) and file not in named)


def as_text(name: str) -> str:
    """Return a file's name as text: composed, unlike macOS's, and without undecodable bytes."""
    whole = name.encode(errors="surrogateescape").decode(errors="replace")
    return unicodedata.normalize("NFC", whole)


def _parts(path: Path, roots: Sequence[Path]) -> dict[Path, str]:
    """Return the folders that hold a split, and which; none where folders are classes.

    Raises:
        InputError: There are only folders of splits, but none of training pictures.
    """
    parts = {root: PARTS[root.name.casefold()] for root in roots if root.name.casefold() in PARTS}
    only_parts = len(parts) == len(roots)
    if "train" in parts.values() and (only_parts or "test" in parts.values()):
        return parts
    if roots and only_parts:
        raise InputError(
            path,
            f"holds {listed([root.name for root in roots])} but no folder of training pictures",
            f"add {path / 'train'}, or name {roots[0]}, and a fifth of each class is set apart for "
            "test",
        )
    return {}


def _file(path: Path, part: str, label: int, file: Path) -> File:
    size, changed = 0, 0  # of a link that leads nowhere
    with contextlib.suppress(OSError):
        status = file.stat()
        size, changed = status.st_size, status.st_mtime_ns
    return File(part, label, str(file.relative_to(path)), size, changed)


# What marks a folder of runs, which is never data.
RUNS = "*/version_*/config.yaml"


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may hold data."""
    inside = [path for path in _visible(folder) if path.is_dir()]
    return [path for path in inside if not any(path.glob(RUNS))]


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
