"""A published data set on disk: checked at every start, fetched where it is missing or wrong."""

import hashlib
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from mnist_lit.data import download, sample
from mnist_lit.data.publications import PUBLICATIONS
from mnist_lit.data.splits import Splits, last
from mnist_lit.errors import InputError, RunError


class Unavailable(RunError):
    """A data set is neither on disk nor to be downloaded, for a reason."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Published:
    """A published data set in a folder.

    Args:
        name: One of `PUBLICATIONS`.
        data_dir: The folder that holds, or shall hold, the set's own.
        source: For `mnist` alone: `auto` lets the embedded sample stand in where the files cannot
            be had, `full` never does, `sample` always takes it.

    Raises:
        InputError: The sample is wanted of another data set.
    """

    fingerprint = ""  # what is checked by its sum does not change
    odd: Sequence[str] = ()

    def __init__(self, name: str, data_dir: str, source: str = "auto") -> None:
        if source == "sample" and name != "mnist":
            raise InputError(f"--data.source sample is one of mnist, not of {name}: leave it out")
        self.publication = PUBLICATIONS[name]
        # That of the data set that is really used, known once prepared: it stays, whatever comes.
        self.name = sample.NAME if source == "sample" else name
        self.data_dir = data_dir
        # torchvision's layout.
        self.raw = Path(data_dir) / self.publication.torchvision / "raw"
        self.class_names = self.publication.class_names
        self.preprocessing = self.publication.preprocessing
        self._sample_helps = name == "mnist" and source == "auto"
        self._prepared = source == "sample"

    def prepare(self) -> None:
        """See that the files are there, or that the sample stands in for MNIST, in a box.

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
                    print(
                        f"warning: {self.raw / images} holds {n:,} images, not the {published:,} "
                        "that were published: figures cannot be compared",
                        file=sys.stderr,
                    )
        self._prepared = True

    def load(self, val_split: float) -> Splits:
        """Return the splits; the last share of the training images is set apart as `val`."""
        # Only one process of a machine prepares; the others see by the files what it came to.
        if self._sample_helps and not self.is_complete():
            self.name = sample.NAME
        if self.name == sample.NAME:
            return sample.load(with_validation=val_split > 0)
        return last(*self.read("train"), val_split) | {"test": self.read("test")}

    def read(self, part: str) -> tuple[Tensor, Tensor]:
        """Return the images as uint8 N×1×28×28 and the labels as int64 N, of `train` or `test`.

        The files are those that `ensure` let pass, so their headers are known.
        """
        own = self.publication
        images_name, labels_name = list(own.files)[:2] if part == "train" else list(own.files)[2:]
        images = np.fromfile(self.raw / images_name, np.uint8, offset=16).reshape(-1, 1, 28, 28)
        if own.transposed:
            images = np.ascontiguousarray(images.swapaxes(2, 3))
        return torch.from_numpy(images), torch.from_numpy(self._labels(self.raw / labels_name))

    def _labels(self, path: Path) -> NDArray[np.int64]:
        offset = len(self.publication.header(path.name, 0))
        if path.name.endswith("idx2-int"):
            # QMNIST's tell of the writer too; the first number is the digit.
            labels = np.fromfile(path, ">i4", offset=offset).reshape(-1, 8)[:, 0]
        else:
            labels = np.fromfile(path, np.uint8, offset=offset)
        return labels.astype(np.int64) - self.publication.first_label

    def is_complete(self) -> bool:
        """Tell whether all files are there, without reading them."""
        return all((self.raw / name).is_file() for name in self.publication.files)

    def problems(self) -> dict[str, str]:
        """Return what is wrong with each file, in words; empty where all are right.

        A file without a known sum, put there by hand, is checked by its own header and its labels.

        Raises:
            InputError: `data_dir` is a file.
            RunError: A file is there but cannot be read.
        """
        if Path(self.data_dir).exists() and not Path(self.data_dir).is_dir():
            raise InputError(
                f"--data.data_dir {self.data_dir} is not a folder: name one, or leave it out"
            )
        sums = self._sums()
        found = {name: self._problem(name, sums.get(name)) for name in self.publication.files}
        if not any(found.values()):
            for (images, n), (labels, m) in self._pairs():
                if n != m:
                    found[labels] = f"has {m:,} labels for the {n:,} images of {images}"
        return {name: problem for name, problem in found.items() if problem}

    def _pairs(self) -> list[tuple[tuple[str, int], tuple[str, int]]]:
        """Return the files of images and of labels with what they hold, for training and test."""
        own = self.publication
        held = [(name, own.held(name, (self.raw / name).stat().st_size)) for name in own.files]
        return [(held[0], held[1]), (held[2], held[3])]

    def _sums(self) -> dict[str, str]:
        return download.recorded(self.raw) | dict(self.publication.sha256)

    def sum_of(self, name: str) -> str:
        """Say by what sum a file is checked."""
        sums = self._sums()
        return f"sha256 {sums[name][:16]}..." if name in sums else "its sum is not known"

    def _problem(self, name: str, sha256: str | None) -> str:
        path, own = self.raw / name, self.publication
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                if name in own.sha256 and size != own.size(name):
                    return f"has {size:,} bytes instead of {own.size(name):,}"
                if sha256 is None:
                    return self._problem_inside(file, path, own.held(name, size))
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return "differs from the published file (sha256)"
        except (FileNotFoundError, NotADirectoryError):
            return "is missing"
        except IsADirectoryError as error:
            raise RunError(f"{path} is a folder: remove it, and the file is downloaded") from error
        except OSError as error:
            raise RunError(
                f"{path} cannot be read ({error.strerror}): mend its permissions"
            ) from error
        return ""

    def _problem_inside(self, file: IO[bytes], path: Path, n: int) -> str:
        header = self.publication.header(path.name, n)
        if not n or file.read(len(header)) != header:
            return "is not a whole IDX file of its kind"
        if "labels" in path.name:
            labels = self._labels(path)
            if labels.min() < 0 or labels.max() >= len(self.class_names):
                return f"has labels beyond its {len(self.class_names)} classes"
        return ""

    def ensure(self) -> None:
        """See that all files are there and right; download those that are not.

        Runs that start together share one download: the first fetches, the others wait for it.

        Raises:
            Unavailable: Files are missing and cannot be downloaded.
            RunError: A wrong file cannot be replaced, or the folder cannot be written.
        """
        if not self.problems():
            return
        try:
            self.raw.mkdir(parents=True, exist_ok=True)
            with FileLock(self.raw / ".download.lock"):
                # Again: another run may have fetched them while this one waited.
                if wrong := self.problems():
                    try:
                        download.fetch_files(self.publication, self.raw, wrong.keys())
                    except download.Refused as error:
                        raise self._failure(wrong, str(error)) from error
        except OSError as error:
            sample_helps = ", or use --data.source sample" if self._sample_helps else ""
            raise RunError(
                f"cannot write to {self.raw} ({error.strerror or error}): "
                f"make it writable, or name another folder by --data.data_dir{sample_helps}"
            ) from error

    def _failure(self, wrong: dict[str, str], reason: str) -> RunError:
        is_mnist = self.publication.torchvision == "MNIST"
        for name, problem in wrong.items():
            if problem != "is missing":
                return RunError(
                    f"{self.raw / name} {problem} and could not be fetched again ({reason}): "
                    + ("replace it, or delete it to do without" if is_mnist else "replace it")
                )
        sample_helps = ", or train on the embedded sample by --data.source sample"
        return Unavailable(
            f"{self.publication.torchvision} is not in {self.raw} and could not be downloaded "
            f"({reason}): put {', '.join(self.publication.files)} there, name their folder by "
            "--data.data_dir DIR or MNIST_LIT_DATA_DIR, see `python -m mnist_lit doctor`"
            + (sample_helps if is_mnist else ""),
            reason,
        )


def _warn_of_sample(reason: str) -> None:
    paragraphs = [
        "WARNING: this is not MNIST but a sample of it (mnist-sample-5k)",
        "5,000 of its training images, with a test split of their own: the figures of this run "
        "cannot be compared with MNIST's.",
        f"Reason: {reason}",
        "To use MNIST: connect to a network, or --data.data_dir DIR; `doctor` helps.",
    ]
    width = 76
    lines = [line for text in paragraphs for line in textwrap.wrap(text, width)]
    edge = f"+-{'-' * width}-+"
    print(edge, *(f"| {line:<{width}} |" for line in lines), edge, sep="\n", file=sys.stderr)
