"""A folder of pictures, with a folder for each class, as a data set."""

import contextlib
import hashlib
import json
import mimetypes
import os
import re
import signal
import sys
import time
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import mnist_lit
from mnist_lit import pictures
from mnist_lit.data.splits import Splits, findings, listed, stratified
from mnist_lit.errors import InputError, RunError, printable
from mnist_lit.files import atomic_write

TEST_SHARE = 0.2  # of each class, where no folder holds test pictures
# What people call the folders of splits.
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
NONE = np.zeros((0, 28, 28), np.uint8)
FEW = 200  # pictures that are converted before other processes would have started


class File(NamedTuple):
    """A picture's file."""

    part: str  # `train`, `val` or `test`; empty where no folder says
    label: int
    name: str  # relative to the data set's folder
    size: int
    changed: int  # nanoseconds


class Folder:
    """A folder of pictures: `train/<class>/…` and `test/<class>/…`, or `<class>/…`.

    In the first layout `val/<class>/…` may hold validation pictures. In the second a fifth of each
    class is set apart for test, the same one in every run. Classes are in the order of their names
    and pictures in that of theirs, numbers in them as numbers. Hidden files are left out; folders
    within a class's folder belong to the class.

    Args:
        path: The folder.
        data_dir: The converted pictures are kept in its folder `pictures`.
        preprocessing: How a picture becomes 28×28, as in `pictures.prepare`.
        strict: Whether a picture that cannot be read is an error; else it is left out.

    Raises:
        InputError: The folder holds no two classes.
    """

    def __init__(
        self, path: Path, data_dir: str, preprocessing: str = "plain", *, strict: bool = False
    ) -> None:
        self.path = path
        self.name = _as_text(path.resolve().name)
        self.preprocessing = preprocessing
        self.strict = strict
        self.class_names, self.files = _scan(path)
        names = "\n".join(f"{file.part} {file.name} {file.size}" for file in self.files)
        self.fingerprint = _sha256(names)
        key = _sha256(f"{path.resolve()} {preprocessing} {mnist_lit.__version__}")
        self._cache = Path(data_dir) / "pictures" / f"{self.name}-{key[:8]}.npz"
        self._labels = np.array([file.label for file in self.files])
        self._images = NONE
        self._faults: list[str | None] = []  # of each file; empty: none, None: not converted yet

    def prepare(self) -> None:
        """Convert the pictures that are not yet, and print what is odd about the data set.

        Raises:
            InputError: A picture cannot be read, under `strict`; or no picture can.
            RunError: The converted pictures cannot be kept.
        """
        if self._faults:
            return
        self._read()
        for line in self.findings():
            print(printable(f"warning: {self.path}: {line}"), file=sys.stderr)

    def load(self, val_split: float) -> Splits:
        """Return the splits; where no folder says which, a share of each class is `val`."""
        if not len(self._images):
            self._read()
        places = self._places()
        if val_split and "val" not in places:
            val = stratified(self._labels[places["train"]], val_split)
            places |= {"train": places["train"][~val], "val": places["train"][val]}
        elif not val_split:
            places.pop("val", None)
        splits = {
            part: (
                torch.from_numpy(self._images[at][:, None]),
                torch.from_numpy(self._labels[at]),
            )
            for part, at in places.items()
        }
        self._images = NONE  # or all would be in memory twice
        return splits

    @property
    def unreadable(self) -> dict[str, str]:
        """What is wrong with each picture that cannot be read, by its name."""
        return {f.name: why for f, why in zip(self.files, self._faults, strict=True) if why}

    def findings(self) -> list[str]:
        """Return what is odd about the prepared pictures, a line each."""
        lines = []
        if unreadable := list(self.unreadable):
            lines.append(
                f"{len(unreadable):,} of {len(self.files):,} pictures cannot be read and are left "
                f"out: {listed(unreadable)} (`python -m mnist_lit doctor --data.dataset "
                f"{self.path}` says why)"
            )
        parts = {
            part: ((self._images[i] for i in at), self._labels[at])
            for part, at in self._places().items()
        }
        return lines + findings(parts, self.class_names)

    def _places(self) -> dict[str, NDArray[np.intp]]:
        """Return of each split, the places of its pictures that can be read."""
        readable = np.flatnonzero([fault == "" for fault in self._faults])
        parts = np.array([file.part for file in self.files])[readable]
        if not self.files[0].part:
            parts = np.where(stratified(self._labels[readable], TEST_SHARE), "test", "train")
        names = ("train", "test", *(["val"] if "val" in parts else []))
        return {part: readable[parts == part] for part in names}

    def _read(self) -> None:
        images, faults = self._kept()
        if None in faults:
            try:
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                # Of runs that start together one converts, and the others wait for it.
                with FileLock(self._cache.with_suffix(".lock")):
                    images, faults = self._kept()
                    try:
                        self._convert(images, faults)
                    finally:  # what is done when a signal comes need not be done again
                        self._keep(images, faults)
            except OSError as error:
                raise RunError(
                    f"cannot write to {self._cache.parent} ({error.strerror or error}): make it "
                    "writable, or name another folder by --data.data_dir"
                ) from error
        self._images, self._faults = images, faults
        unreadable = [f"{name} {why}" for name, why in self.unreadable.items()]
        if unreadable and (self.strict or len(unreadable) == len(faults)):
            raise InputError(
                f"{len(unreadable):,} of {len(faults):,} pictures in {self.path} cannot be read: "
                f"{listed(unreadable)}: mend or remove them"
                + (", or leave --data.strict out" if self.strict else "")
            )

    def _kept(self) -> tuple[NDArray[np.uint8], list[str | None]]:
        """Return the converted pictures and faults that are kept; a changed file has none."""
        images = np.zeros((len(self.files), 28, 28), np.uint8)
        faults: list[str | None] = [None] * len(self.files)
        try:
            with self._cache.open("rb") as store, np.load(store, allow_pickle=False) as archive:
                kept = archive["images"]
                index = json.loads(archive["index"].tobytes())
            if kept.shape != (len(index), 28, 28):
                raise ValueError
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return images, faults  # none yet, or damaged
        if [tuple(file) for *file, _ in index] == [file[2:] for file in self.files]:
            return kept, [fault for *_, fault in index]
        rows = {tuple(file): (row, fault) for row, (*file, fault) in enumerate(index)}
        here, there = [], []
        for i, file in enumerate(self.files):
            row, faults[i] = rows.get((file.name, file.size, file.changed), (0, None))
            if faults[i] == "":
                here.append(i)
                there.append(row)
        images[here] = kept[there]
        return images, faults

    def _keep(self, images: NDArray[np.uint8], faults: Sequence[str | None]) -> None:
        done = [i for i, fault in enumerate(faults) if fault is not None]
        entries = [(*self.files[i][2:], faults[i]) for i in done]
        index = np.frombuffer(json.dumps(entries).encode(), np.uint8)
        with atomic_write(self._cache) as file:
            np.savez(file, images=images[done], index=index)

    def _convert(self, images: NDArray[np.uint8], faults: list[str | None]) -> None:
        """Convert the pictures that are not yet, on all cores."""
        todo = [i for i, fault in enumerate(faults) if fault is None]
        loader: DataLoader[tuple[NDArray[np.uint8] | None, str]] = DataLoader(
            _Pictures([self.path / self.files[i].name for i in todo], self.preprocessing),
            batch_size=32,
            num_workers=0 if len(todo) < FEW else _cores(),
            collate_fn=list,
            worker_init_fn=_begin,
        )
        start = time.monotonic()
        with tqdm(total=len(todo), desc=self.name, unit="picture", disable=None) as bar:
            for at, batch in zip(range(0, len(todo), 32), loader, strict=True):
                for i, (image, fault) in zip(todo[at:], batch, strict=False):
                    faults[i] = fault
                    if image is not None:
                        images[i] = image
                bar.update(len(batch))
        if len(todo) >= FEW:  # a log has no bar
            seconds = time.monotonic() - start
            print(f"{len(todo):,} pictures of {printable(self.name)} converted in {seconds:.0f} s")


class _Pictures(Dataset[tuple[NDArray[np.uint8] | None, str]]):
    """Picture files as 28×28, or what is wrong with them."""

    def __init__(self, paths: Sequence[Path], preprocessing: str) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            return pictures.read(self.paths[index], self.preprocessing).image, ""
        except InputError as error:
            return None, str(error).removeprefix(f"{self.paths[index]} ")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # those that this process may use
    return os.cpu_count() or 1


def _begin(worker: int) -> None:
    # There is a process for each core already; more threads made it four times slower.
    threadpool_limits(1)
    # Ctrl-C goes to every process of the terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _natural(name: str) -> list[str | int]:
    """Return what sorts names as people do: numbers in them as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]


def _as_text(name: str) -> str:
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


def _scan(path: Path) -> tuple[list[str], list[File]]:
    """Return the classes' names and the pictures, both in order."""
    roots = [root for root in _visible(path) if root.is_dir()]
    parts = {root: PARTS.get(root.name.casefold(), "") for root in roots}
    if not {"train", "test"} <= set(parts.values()):
        if roots and all(parts.values()):
            raise InputError(
                f"{path} holds {listed([root.name for root in roots])} and so no two folders of "
                "training and test pictures: add `test`, or name the folder of classes, and a "
                "fifth of each is set apart"
            )
        parts = {path: ""}
    found: list[tuple[str, str, Path]] = []
    for root, part in parts.items():
        if part or root == path:
            for folder in filter(Path.is_dir, _visible(root)):
                name = _as_text(folder.name)
                found += [(part, name, file) for file in _files(folder) if _is_picture(file)]
    names = sorted({name for _, name, _ in found}, key=lambda name: (_natural(name), name))
    if len(names) < 2:
        raise InputError(
            f"{path} holds pictures of {len(names)} classes: put each class's pictures into a "
            "folder of its name, <class>/… or train/<class>/… and test/<class>/…"
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
    return names, files
