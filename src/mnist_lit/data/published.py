"""A published data set on disk: checked at every start, downloaded where it is missing or wrong."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from mnist_lit.data import download, sample
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.listing import PARTS
from mnist_lit.data.places import places
from mnist_lit.data.splits import Splits, last
from mnist_lit.errors import Argument, InputError, RunError, Words
from mnist_lit.files import sha256
from mnist_lit.pictures.constants import PUBLISHED_SIDE
from mnist_lit.pictures.decoding import SUFFIXES

MISSING = "is missing"
DIFFERENT = "differs from the published file (sha256)"

log = logging.getLogger("mnist_lit")


class Unavailable(RunError):
    """A data set is neither on disk nor can it be downloaded, for a reason."""

    def __init__(self, subject: Words, problem: Words, remedy: Words, *, reason: str) -> None:
        super().__init__(subject, problem, remedy)
        self.reason = reason


class Published:
    """A published data set in a folder.

    Args:
        name: One of `CATALOGUE`.
        data_dir: The folder that holds the set's own folder, or where it is to be made.
        source: For `mnist` alone: `auto` lets the embedded sample stand in where the files cannot
            be had, `full` never does, `sample` always takes it.
        preprocessing: How a picture becomes such an image; by default as the set's own did.
    """

    def __init__(
        self, name: str, data_dir: str, source: str = "auto", preprocessing: str | None = None
    ) -> None:
        self.publication = CATALOGUE[name]
        # The name of the data that are really used, known once prepared; then it never changes.
        self.name = sample.NAME if source == "sample" else name
        self.data_dir = data_dir
        # torchvision's layout.
        self.raw = Path(data_dir) / self.publication.torchvision / "raw"
        self.path = self.raw
        self.unreadable: dict[str, str] = {}
        self.class_names = self.publication.class_names
        self.preprocessing = preprocessing or self.publication.preprocessing
        self.image_size = PUBLISHED_SIDE
        self.fingerprint = ""  # what is checked by its checksum doesn't change
        self.odd: list[str] = []
        # What was found elsewhere in place of files that are missing or wrong.
        self._elsewhere: dict[str, tuple[Path, NDArray[np.uint8]]] = {}
        self._sample_helps = name == "mnist" and source == "auto"
        self._prepared = source == "sample"

    def prepare(self) -> None:
        """See that the files are there, or let the sample stand in for MNIST, with a warning.

        Raises:
            RunError: They cannot be had.
        """
        if self._prepared:
            return
        try:
            self.ensure()
        except Unavailable as error:
            if not self._sample_helps:
                raise
            _warn_of_sample(f"MNIST is not in {self.raw}; {error.reason}")
            self.name = sample.NAME
        else:
            for (images, n), _ in self._pairs():
                if n != (published := self.publication.files[images]):
                    log.warning(
                        f"{self.raw / images} holds {n:,} images, not the {published:,} that were "
                        "published: metrics cannot be compared"
                    )
        self._prepared = True

    def load(self, val_split: float) -> Splits:
        """Return the splits; the last share of the training images is set apart as `val`."""
        # Only one process of a machine prepares; the others see by the files how that ended.
        if not self._prepared and self.problems() and self._sample_helps:
            self.name = sample.NAME
        if self.name == sample.NAME:
            return sample.load(with_validation=val_split > 0)
        return last(*self.read("train"), val_split) | {"test": self.read("test")}

    def read(self, part: str) -> tuple[Tensor, Tensor]:
        """Return the images as uint8 N×1×28×28 and the labels as int64 N, of `train` or `test`.

        Only files that `ensure` has accepted are read, so their headers are known.
        """
        own = self.publication
        images_name, labels_name = list(own.files)[:2] if part == "train" else list(own.files)[2:]
        images = self._content(images_name)[16:].reshape(-1, 1, self.image_size, self.image_size)
        if own.transposed:
            images = np.ascontiguousarray(images.swapaxes(2, 3))
        return torch.from_numpy(images), torch.from_numpy(self._labels(labels_name))

    def is_complete(self) -> bool:
        """Tell whether all files are there, without reading them."""
        return all(
            (self.raw / name).is_file() or any(places(self.publication, self.data_dir, name))
            for name in self.publication.files
        )

    def place(self, name: str) -> Path:
        """Return the file that is read for a published one; `problems` finds it."""
        return self._elsewhere[name][0] if name in self._elsewhere else self.raw / name

    def checksum(self, name: str) -> str:
        """Say by which checksum a file is checked."""
        sums = self._checksums()
        return f"sha256 {sums[name][:16]}..." if name in sums else "its checksum is not known"

    def problems(self) -> dict[str, str]:
        """Return what is wrong with each file, in words; empty where all are right.

        Where one in the set's own folder isn't right, another that is may lie elsewhere. A file
        without a known checksum, put there by hand, is checked by its own header and its labels.

        Raises:
            InputError: `data_dir` is a file.
            RunError: A file is there but cannot be read.
        """
        if Path(self.data_dir).exists() and not Path(self.data_dir).is_dir():
            raise InputError(
                Argument("data_dir", self.data_dir), "is not a folder", "name one, or leave it out"
            )
        sums = self._checksums()
        found = {name: self._problem(name, sums.get(name)) for name in self.publication.files}
        for name, problem in found.items():
            if problem and self._find_elsewhere(name, sums.get(name)):
                found[name] = ""
        if not any(found.values()):
            for (images, n), (labels, m) in self._pairs():
                if n != m:
                    found[labels] = f"has {m:,} labels for the {n:,} images of {images}"
        return {name: problem for name, problem in found.items() if problem}

    def ensure(self) -> None:
        """See that all files are there and right; download those that aren't.

        Runs that start together share one download: the first one fetches, the others wait.

        Raises:
            InputError: The folder holds pictures in a folder for each class.
            Unavailable: Files are missing and cannot be downloaded.
            RunError: A wrong file cannot be replaced, or the folder cannot be written.
        """
        if not self.problems():
            return
        self._refuse_pictures()
        try:
            self.raw.mkdir(parents=True, exist_ok=True)
            with FileLock(self.raw / ".download.lock"):
                # Once more, since another run may have fetched them while this one waited.
                if wrong := self.problems():
                    self._fetch(wrong)
        except OSError as error:
            sample_helps = ("or take the sample by", Argument("source", "sample"))
            raise RunError(
                self.raw,
                f"cannot be written ({error.strerror or error})",
                (
                    *("make it writable, or name another folder by", Argument("data_dir")),
                    *(sample_helps if self._sample_helps else ()),
                ),
            ) from error

    def _refuse_pictures(self) -> None:
        """Raise InputError where `data_dir` was given in place of `dataset`."""
        classes = [
            folder
            for parent in (Path(self.data_dir), *(Path(self.data_dir, part) for part in PARTS))
            for folder in sorted(parent.glob("*"))
            if not (folder / "labels.csv").exists()  # a data set of its own
            and any(file.suffix.lower() in SUFFIXES for file in folder.glob("*"))
        ]
        if len(classes) > 1:
            raise InputError(
                Argument("data_dir", self.data_dir),
                f"holds pictures, in {classes[0].name}, {classes[1].name} and so on",
                ("to train on them give it as", Argument("dataset", self.data_dir)),
            )

    def _fetch(self, wrong: Mapping[str, str]) -> None:
        try:
            download.fetch_files(self.publication, self.raw, wrong.keys())
        except download.Refused as error:
            for name, problem in wrong.items():
                if problem != MISSING:
                    raise self._damaged(name, problem, str(error)) from error
            raise self._unavailable(str(error)) from error

    def _damaged(self, name: str, problem: str, reason: str) -> RunError:
        # Without any file of MNIST the sample may stand in.
        without = ", or delete it to do without" if self._is_mnist else ""
        return RunError(
            self.raw / name,
            f"{problem} and could not be downloaded again ({reason})",
            f"replace it{without}",
        )

    def _unavailable(self, reason: str) -> Unavailable:
        sample_helps = ("or train on the embedded sample by", Argument("source", "sample"))
        return Unavailable(
            self.publication.torchvision,
            f"is not in {self.raw} and could not be downloaded ({reason})",
            (
                f"put {', '.join(self.publication.files)} there, or see "
                "`python -m mnist_lit doctor`, or name their folder by",
                Argument("data_dir"),
                *(sample_helps if self._is_mnist else ()),
            ),
            reason=reason,
        )

    @property
    def _is_mnist(self) -> bool:
        return self.publication.torchvision == "MNIST"

    def _pairs(self) -> list[tuple[tuple[str, int], tuple[str, int]]]:
        """Return the files of images and of labels with what they hold, for training and test."""
        own = self.publication
        held = [(name, own.held(name, self._size(name))) for name in own.files]
        return [(held[0], held[1]), (held[2], held[3])]

    def _find_elsewhere(self, name: str, checksum: str | None) -> bool:
        """Tell whether the same file is right in another place, and remember its content."""
        if name not in self._elsewhere:
            for place in places(self.publication, self.data_dir, name):
                content = place.content(self.publication, name)
                if content is not None and not self._problem_of(name, content, checksum):
                    self._elsewhere[name] = (place.path, content)
                    break
        return name in self._elsewhere

    def _size(self, name: str) -> int:
        if name in self._elsewhere:
            return len(self._elsewhere[name][1])
        return (self.raw / name).stat().st_size

    def _content(self, name: str) -> NDArray[np.uint8]:
        if name in self._elsewhere:
            return self._elsewhere[name][1]
        return np.fromfile(self.raw / name, np.uint8)

    def _labels(self, name: str, content: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
        if content is None:
            content = self._content(name)
        labels: NDArray[Any] = content[len(self.publication.header(name, 0)) :]
        if name.endswith("idx2-int"):
            # QMNIST's labels also name the writer and more; the first number is the digit.
            labels = labels.view(">i4").reshape(-1, 8)[:, 0]
        return labels.astype(np.int64) - self.publication.first_label

    def _checksums(self) -> dict[str, str]:
        return download.recorded(self.raw) | dict(self.publication.sha256)

    def _problem(self, name: str, checksum: str | None) -> str:
        path, own = self.raw / name, self.publication
        try:
            size = path.stat().st_size
            if name in own.sha256 and size != own.size(name):
                return self._of_another_size(name, size)
            if checksum:  # without reading all of it into memory
                return "" if sha256(path) == checksum else DIFFERENT
            start = np.fromfile(
                path, np.uint8, -1 if "labels" in name else len(own.header(name, 0))
            )
            return self._problem_inside(name, start, size)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        except IsADirectoryError as error:
            raise RunError(path, "is a folder", "remove it, and the file is downloaded") from error
        except OSError as error:
            raise RunError(
                path, f"cannot be read ({error.strerror})", "fix its permissions"
            ) from error

    def _of_another_size(self, name: str, size: int) -> str:
        return f"has {size:,} bytes instead of {self.publication.size(name):,}"

    def _problem_of(self, name: str, content: NDArray[np.uint8], checksum: str | None) -> str:
        """Return what is wrong with the content of a file, in words."""
        own = self.publication
        if name in own.sha256 and len(content) != own.size(name):
            return self._of_another_size(name, len(content))
        if checksum:
            digest = hashlib.sha256(content.data).hexdigest()
            return "" if digest == checksum else DIFFERENT
        return self._problem_inside(name, content, len(content))

    def _problem_inside(self, name: str, content: NDArray[np.uint8], size: int) -> str:
        """Return what is wrong with a file whose checksum isn't known, of images by its header."""
        own = self.publication
        n = own.held(name, size)
        header = own.header(name, n)
        if not n or content[: len(header)].tobytes() != header:
            return "is not a whole IDX file of its kind"
        if "labels" in name:
            if (len(content) - len(header)) % (32 if name.endswith("idx2-int") else 1):
                return "is not a whole IDX file of its kind"
            labels = self._labels(name, content)
            if labels.min() < 0 or labels.max() >= len(self.class_names):
                return f"has labels beyond its {len(self.class_names)} classes"
        return ""


def _warn_of_sample(reason: str) -> None:
    paragraphs = (
        f"this is not MNIST but a sample of it ({sample.NAME})",
        "It has 5,000 of MNIST's training images, with its own test split: the metrics of this run "
        "cannot be compared with MNIST's.",
        f"Reason: {reason}",
        "To use MNIST, connect to a network, or name the folder that holds its files as data_dir; "
        "`python -m mnist_lit doctor` helps.",
    )
    log.warning("\n".join(paragraphs))
