"""Keras's files opened: the description of a model, and each layer's arrays, by h5py alone.

Nothing in a file is executed. Of its description only JSON is read, of its weights only plain
arrays, and only after their declared size was looked at.

Three layouts exist (source: Keras 2.12, 2.15 and 3.15, `saving_lib.py` and `legacy_h5_format.py`):

- A whole model in HDF5, of Keras 2 and 3: the attribute `model_config`, and in `model_weights` a
  group for each layer whose attribute `weight_names` leads to its arrays. Keras 2 writes weights
  alone the same way, at the root and without `model_config`. Keras 2.12 writes it as `.keras` too.
- Weights alone of Keras 3 (`.weights.h5`): `layers/<class>_<n>/vars/<i>`, counted within a class.
- A zip of `config.json`, `metadata.json` and such a file of weights (`.keras`).

The content says what a file is, not its name.
"""

import json
import math
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mnist_lit.errors import InputError
from mnist_lit.formats.keras.chain import Place

# 50 million parameters have 200 MB, three times that with Adam's state.
MAX_BYTES = 2_000_000_000
MAX_TEXT = 20_000_000  # of a description, which has about 1 kB a layer
MAX_CHUNK = 256_000_000  # what HDF5 unpacks at once
MAX_NAMES = 10_000  # in one attribute
FILTERS = {1, 2, 3}  # deflate, shuffle, Fletcher-32; others would be loaded as plug-ins
AGAIN = "save the model again"

Array = NDArray[np.float32]


class Source:
    """An open Keras file.

    Attributes:
        config: Its description as Keras wrote it, or None.
        version: The version of Keras that wrote it, or "".
    """

    def __init__(self, file: h5py.File, config: Any, version: str, root: h5py.Group) -> None:
        self.config = config
        self.version = version
        self._file = file
        self._root = root
        # The layers' names in order, where the file lists them.
        self._names = _names(root, "layer_names")

    def arrays(self, place: Place) -> list[h5py.Dataset]:
        """Return a layer's arrays in Keras's order, not yet read."""
        if self._names is not None:
            if place.group not in self._names:
                return []
            found = [
                (path.split("/"), _array(self._root, f"{place.group}/{path}"))
                for path in _names(_group(self._root, place.group), "weight_names") or ()
            ]
            if place.inside is None:
                return [array for _, array in found]
            return [array for path, array in found if place.inside in path[-2:-1]]
        group = self._numbered(place)
        if group is None or "vars" not in group:
            return []
        values = _group(group, "vars")
        return [_array(values, str(i)) for i in range(len(values))]

    def _numbered(self, place: Place) -> h5py.Group | None:
        group = self._root
        for stem, index in place.path:
            container = group if group is self._root else _group(group, "layers")
            names = _of_class(container, stem)
            if index >= len(names):
                return None
            group = _group(container, names[index])
        return group

    def holders(self) -> dict[str, int]:
        """Return how many arrays each outer layer of the file holds, in the file's order."""
        if self._names is not None:
            found = {
                name: len(_names(_group(self._root, name), "weight_names") or ())
                for name in self._names
            }
        else:
            found = {name: _count(_group(self._root, name)) for name in self._root}
        return {name: count for name, count in found.items() if count}

    def name_of(self, place: Place) -> str:
        """Return the outer group in which a layer's arrays lie."""
        if self._names is not None:
            return place.group
        stem, index = place.path[0]
        names = _of_class(self._root, stem)
        return names[index] if index < len(names) else ""

    @property
    def named(self) -> bool:
        """Whether the file names the layers as the model does, not by class and number."""
        return self._names is not None


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a Keras file of any layout.

    Raises:
        InputError: It isn't one, isn't whole, or is too large. Subject and remedy name no file
            where the caller knows it.
        OSError: The file can't be read, or HDF5 finds it broken (then without `errno`).
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise InputError(path, what, "give the path of a .h5 or .keras file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            path,
            f"has {path.stat().st_size:,} bytes, too many for a network of this kind",
            "save the model without its optimizer",
        )
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"PK"):
            with _opened_zip(path, file) as source:
                yield source
        elif start == b"\x89HDF\r\n\x1a\n":
            with h5py.File(path, "r") as content:
                yield _whole(content)
        else:
            raise InputError(
                path, "is neither an HDF5 file (.h5) nor a .keras archive", "save the model as one"
            )


@contextmanager
def _opened_zip(path: Path, file: IO[bytes]) -> Iterator[Source]:
    with zipfile.ZipFile(file) as archive:
        config = json.loads(_member(path, archive, "config.json", MAX_TEXT))
        version = ""
        if "metadata.json" in archive.namelist():
            metadata = json.loads(_member(path, archive, "metadata.json", MAX_TEXT))
            version = str(metadata.get("keras_version", ""))
        # HDF5 jumps about in it, and the archive may hold it compressed.
        with tempfile.TemporaryFile() as weights:
            info = _info(path, archive, "model.weights.h5", MAX_BYTES)
            with archive.open(info) as member:  # compares the checksum at its end
                while part := member.read(1 << 20):
                    weights.write(part)
            with h5py.File(weights, "r") as content:
                yield Source(content, config, version, _layers(content))


def _info(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> zipfile.ZipInfo:
    if name not in archive.namelist():
        raise InputError(path, f"has no {name} inside", "save the model as one .keras file")
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise InputError(path, f"has a {name} that is too large", AGAIN)
    return info


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    return archive.read(_info(path, archive, name, limit))  # compares the checksum


def _whole(file: h5py.File) -> Source:
    if "model_config" in file.attrs:
        root = _group(file, "model_weights")
        text = _text(file.attrs["model_config"])
        if len(text) > MAX_TEXT:
            raise InputError("its description", "is too large", AGAIN)
        version = file.attrs.get("keras_version", root.attrs.get("keras_version", ""))
        return Source(file, json.loads(text), _text(version), root)
    if "layer_names" in file.attrs or "layer_names0" in file.attrs:
        return Source(file, None, _text(file.attrs.get("keras_version", "")), file)
    return Source(file, None, "", _layers(file))


def _layers(file: h5py.File) -> h5py.Group:
    # The second name is that of Keras 2.12 and 2.13.
    for name in ("layers", "_layer_checkpoint_dependencies"):
        if name in file:
            return _group(file, name)
    raise InputError("the file", "holds no layers", "save the model, or its weights, by Keras")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _child(group: h5py.Group, name: str) -> Any:
    # A link could lead into another file, or round in a circle.
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise InputError(str(group.name), f"has no plain entry {name}", AGAIN)
    return group[name]


def _group(group: h5py.Group, path: str) -> h5py.Group:
    for part in path.split("/"):
        group = _child(group, part)
        if not isinstance(group, h5py.Group):
            raise InputError(part, "is not a group", AGAIN)
    return group


def _array(group: h5py.Group, path: str) -> h5py.Dataset:
    *folders, name = path.split("/")
    data = _child(_group(group, "/".join(folders)) if folders else group, name)
    if not (
        isinstance(data, h5py.Dataset)
        and not data.external
        and not data.is_virtual
        and data.dtype.kind in "fiu"
        and math.prod(data.shape) * data.dtype.itemsize <= MAX_BYTES
        and math.prod(data.chunks or ()) * data.dtype.itemsize <= MAX_CHUNK
        and _filters(data) <= FILTERS
    ):
        raise InputError(path, "is not an array of weights", AGAIN)
    return data


def _filters(data: h5py.Dataset) -> set[int]:
    properties = data.id.get_create_plist()
    return {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}


def _names(group: h5py.Group, attribute: str) -> list[str] | None:
    """Return the names in an attribute, which Keras splits where it would be too large."""
    parts = [attribute] if attribute in group.attrs else []
    while (part := f"{attribute}{len(parts)}") in group.attrs:
        parts.append(part)
    found: list[str] = []
    for part in parts:
        shape = group.attrs.get_id(part).shape
        if len(shape) != 1 or shape[0] > MAX_NAMES:
            raise InputError(str(group.name), f"has no plain {attribute}", AGAIN)
        found += [_text(value) for value in group.attrs[part]]
    if not parts and attribute == "weight_names":
        raise InputError(str(group.name), f"does not say its {attribute}", AGAIN)
    return found if parts else None


def _of_class(group: h5py.Group, stem: str) -> list[str]:
    """Return the names of a class's layers in order; Keras 2.12 counts in twos."""
    names = [name for name in group if re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name)]
    return sorted(names, key=lambda name: int(name[len(stem) + 1 :] or 0))


def _count(group: h5py.Group, depth: int = 0) -> int:
    """Return how many arrays lie in the `vars` of a layer and of layers inside it."""
    if depth > 20:
        raise InputError(str(group.name), "is nested too deeply", AGAIN)
    found = len(_group(group, "vars")) if "vars" in group else 0
    if "layers" in group:
        inner = _group(group, "layers")
        found += sum(_count(_group(inner, name), depth + 1) for name in inner)
    return found
