"""A folder of pictures, with a folder for each class, as a data set."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

import mnist_lit
from mnist_lit.data.conversion import convert
from mnist_lit.data.listing import as_text, scan
from mnist_lit.data.splits import Splits, findings, listed, stratified
from mnist_lit.errors import InputError, RunError, printable
from mnist_lit.files import atomic_write

TEST_SHARE = 0.2  # of each class, where no folder holds test pictures
NONE = np.zeros((0, 28, 28), np.uint8)


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
        self.name = as_text(path.resolve().name)
        self.preprocessing = preprocessing
        self.strict = strict
        self.class_names, self.files, self._strays, self._empty = scan(path)
        names = "\n".join(f"{file.part} {file.name} {file.size}" for file in self.files)
        self.fingerprint = _sha256(names)
        key = _sha256(f"{path.resolve()} {preprocessing} {mnist_lit.__version__}")
        self._cache = Path(data_dir) / "pictures" / f"{self.name}-{key[:8]}.npz"
        self._labels = np.array([file.label for file in self.files])
        self._images = NONE
        self.odd: list[str] = []  # what was odd when it was prepared, a line each
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
        self.odd = self._findings()
        for line in self.odd:
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

    def _findings(self) -> list[str]:
        lines = []
        if unreadable := list(self.unreadable):
            lines.append(
                f"{len(unreadable):,} of {len(self.files):,} pictures cannot be read and are left "
                f"out: {listed(unreadable)} (`python -m mnist_lit doctor --data.dataset "
                f"{self.path}` says why)"
            )
        if self._strays:
            lines.append(f"left out, being in no class's folder: {listed(self._strays)}")
        if self._empty:
            lines.append(f"folders without a picture are no classes: {listed(self._empty)}")
        low, high = (pick(self._images, axis=(1, 2)) for pick in (np.min, np.max))
        blank = [
            file.name
            for file, same, fault in zip(self.files, low == high, self._faults, strict=True)
            if same and not fault
        ]
        if blank:
            lines.append(f"blank: {listed(blank)}")
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
                    todo = [i for i, fault in enumerate(faults) if fault is None]
                    paths = [self.path / self.files[i].name for i in todo]
                    converted = convert(paths, self.preprocessing, self.name)
                    try:
                        for i, (image, fault) in zip(todo, converted, strict=True):
                            if image is not None:
                                images[i] = image
                            faults[i] = fault  # last: a signal may come at any moment
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


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
