"""What was converted, kept in the user's cache folder, so that it is converted once.

Not in the folder of the published data, which several people may share.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from mnist_lit.data.conversion import convert
from mnist_lit.data.listing import File
from mnist_lit.errors import printable
from mnist_lit.files import atomic_write, cache_folder, sha256_of_text

# To be raised by one whenever the same picture or table would become another image.
CONVERSION = 3

log = logging.getLogger("mnist_lit")

Arrays = dict[str, NDArray[Any]]


class Images(NamedTuple):
    """Images, and why some are missing."""

    images: NDArray[np.uint8]  # N×side×side
    # Why each has no image: empty if it has one, None while it isn't converted yet.
    faults: list[str | None]


class Cache:
    """A file of arrays that were made from a file or folder of the user's.

    Args:
        path: The file or folder.
        name: The data set's.
        settings: Whatever else the arrays depend on.
    """

    def __init__(self, path: Path, name: str, *settings: object) -> None:
        key = sha256_of_text(" ".join(map(str, (path.resolve(), *settings, CONVERSION))))
        self.file = cache_folder() / "pictures" / f"{name[:50]}-{key[:8]}.npz"

    def arrays(self, files: Sequence[Path], make: Callable[[], Arrays]) -> Arrays:
        """Return what was kept; make and keep it where there is none or a file has changed.

        Args:
            files: What the arrays are made of.
            make: Returns the arrays.
        """
        states = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]

        def read() -> Arrays | None:
            arrays, index = self.read()
            return arrays if index == states else None

        found = read()
        if found is None:
            with self.locked():
                found = read()
                if found is None:
                    found = make()
                    self.write(found, states)
        return found

    def read(self) -> tuple[Arrays, Any]:
        """Return the arrays and what was written beside them; nothing where that isn't possible."""
        try:
            with self.file.open("rb") as store, np.load(store, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return arrays, json.loads(arrays.pop("index").tobytes())
        except Exception:  # none yet, or malformed, which can make the decoder raise anything
            return {}, None

    def write(self, arrays: Mapping[str, NDArray[Any]], index: Any) -> None:
        """Keep the arrays and `index` beside them; warn where that isn't possible."""
        contents: dict[str, Any] = dict(arrays)
        contents["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
        try:
            with atomic_write(self.file) as file:
                np.savez(file, **contents)
        except OSError as error:
            problem = f"{self.file.parent} cannot be written ({error.strerror or error})"
            log.warning(printable(f"{problem}, so the next run converts the data again"))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one of several runs that start together convert while the others wait for it."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # `write` warns of it
                self.file.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self.file.with_suffix(".lock")))
            yield


class Pictures:
    """The converted pictures of one folder, by one preprocessing, of one size.

    Args:
        path: The folder with the pictures.
        name: The data set's.
        preprocessing: How a picture becomes an image.
        side: Of the images.
    """

    def __init__(self, path: Path, name: str, preprocessing: str, side: int) -> None:
        self.path = path
        self.name = name
        self.preprocessing = preprocessing
        self.side = side
        self._cache = Cache(path, name, preprocessing, side)

    def images(self, files: Sequence[File]) -> Images:
        """Return the files' images; convert and keep those that are new or have changed."""
        found = self._read(files)
        if None not in found.faults:
            return found
        with self._cache.locked():
            found = self._read(files)
            try:
                self._convert(files, found)
            finally:  # after a signal, what was done by then need not be done again
                self._write(files, found)
        return found

    def _convert(self, files: Sequence[File], found: Images) -> None:
        todo = [i for i, fault in enumerate(found.faults) if fault is None]
        paths = [self.path / files[i].name for i in todo]
        converted = convert(paths, self.preprocessing, self.side, self.name)
        for i, image in zip(todo, converted, strict=True):
            # The fault is noted last: a signal may come at any moment.
            if isinstance(image, np.ndarray):
                found.images[i] = image
                found.faults[i] = ""
            else:
                found.faults[i] = str(image.problem)

    def _read(self, files: Sequence[File]) -> Images:
        """Return what is kept; a file that is new or has changed has no image yet."""
        kept, rows = self._kept()
        if list(rows) == [file.state for file in files]:
            return Images(kept, [fault for _, fault in rows.values()])
        images = np.zeros((len(files), self.side, self.side), np.uint8)
        faults: list[str | None] = [None] * len(files)
        here, there = [], []
        for i, file in enumerate(files):
            row, faults[i] = rows.get(file.state, (0, None))
            if faults[i] == "":
                here.append(i)
                there.append(row)
        images[here] = kept[there]
        return Images(images, faults)

    def _kept(self) -> tuple[NDArray[np.uint8], dict[tuple[str, int, int], tuple[int, str]]]:
        """Return the images in the file and, by a picture's state, its row and fault."""
        try:
            arrays, index = self._cache.read()
            images = arrays["images"]
            rows = {
                (str(name), int(size), int(changed)): (row, str(fault))
                for row, (name, size, changed, fault) in enumerate(index)
            }
            if images.dtype != np.uint8 or images.shape != (len(rows), self.side, self.side):
                raise ValueError
        except (KeyError, TypeError, ValueError):  # none yet, or not what was written here
            return np.zeros((0, self.side, self.side), np.uint8), {}
        return images, rows

    def _write(self, files: Sequence[File], found: Images) -> None:
        done = [i for i, fault in enumerate(found.faults) if fault is not None]
        entries = [(*files[i].state, found.faults[i]) for i in done]
        self._cache.write({"images": found.images[done]}, entries)
