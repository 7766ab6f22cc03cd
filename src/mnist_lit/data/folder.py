"""A folder of pictures as a data set."""

from pathlib import Path

import numpy as np

from mnist_lit.data.cache import Images, Pictures
from mnist_lit.data.listing import File, as_text, scan
from mnist_lit.data.own import Own
from mnist_lit.errors import Argument, Words, listed
from mnist_lit.files import sha256_of_text


class Folder(Own):
    """A folder of pictures: `train/<class>/…` and `test/<class>/…`, or `<class>/…`.

    In the first layout `val/<class>/…` may hold validation pictures, and `test` may be missing.
    Without test pictures a fifth of each class is set apart, the same one in every run. Instead of
    folders for the classes there may be a file `labels.csv`. Classes and pictures are in the order
    of their names, numbers in them as numbers. Hidden files are left out; folders within a class's
    folder belong to the class.

    Args:
        path: The folder.
        preprocessing: How a picture becomes an image, as in `pictures.prepare`.
        strict: Whether a picture that cannot be read is an error; otherwise it is left out.
        image_size: Side of the images.

    Raises:
        InputError: The folder doesn't hold two classes.
    """

    suffix = "-folder"

    def __init__(
        self,
        path: Path,
        preprocessing: str = "plain",
        *,
        strict: bool = False,
        image_size: int = 28,
    ) -> None:
        super().__init__(path, as_text(path.resolve().name), preprocessing)
        self.image_size = image_size
        self.strict = strict
        self.class_names, self.files, self._strays, self._empty = scan(path)
        states = "\n".join(self._state(file) for file in self.files)
        self.fingerprint = sha256_of_text(states)
        self.labels = np.array([file.label for file in self.files])
        self.parts = np.array([file.part or "train" for file in self.files])
        self._pictures = Pictures(path, self.name, preprocessing, image_size)
        self._check_names()

    def _state(self, file: File) -> str:
        """Return what changes the data set when it changes of a file."""
        state = f"{file.part} {file.name} {file.size}"
        # A folder's name is part of the file's; in `labels.csv` a class can change by itself.
        name = self.class_names[file.label]
        return state if name in Path(file.name).parts else f"{state} {name}"

    def item(self, index: int) -> str:
        return self.files[index].name

    def _convert(self) -> Images:
        return self._pictures.images(self.files)

    def _notes(self) -> list[str]:
        lines = []
        if self._strays:
            lines.append(f"left out, because in no class's folder: {listed(self._strays)}")
        if self._empty:
            lines.append(f"folders without a picture are not classes: {listed(self._empty)}")
        return lines

    def _unreadable_remedy(self) -> Words | None:
        if not self.strict:
            return None
        return ("fix or remove them", "or leave out", Argument("strict", True))
