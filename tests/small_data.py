"""Small data sets of real digits, re-labelled and written in the ways that people have them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mnist_lit.data import sample
from mnist_lit.data.catalogue import CATALOGUE, Publication

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def digits(n: int, classes: int, *, skip: int = 0) -> Part:
    """Return n real digits N×28×28, no two the same, and labels 0, 1, 2, … again and again.

    A class is a digit, or where there are more than ten the share of one.
    """
    images, labels = sample.load(with_validation=False)["train"]
    of_digit = [np.flatnonzero(labels.numpy() == digit) for digit in range(10)]
    own = np.arange(skip, skip + n) % classes
    chosen = []
    taken = [0] * 10
    for label in np.arange(skip + n) % classes:
        chosen.append(of_digit[label % 10][taken[label % 10]])
        taken[label % 10] += 1
    return images.numpy()[chosen[skip:], 0], own


def digit_files() -> list[int]:
    """Write 20 test digits of the sample as dark ink, 0.png to 19.png; return their labels."""
    images, labels = sample.load()["test"]
    for i in range(20):
        Image.fromarray(255 - images[50 * i, 0].numpy()).resize((140, 140)).save(f"{i}.png")
    return labels[::50].tolist()


def shrink(monkeypatch: pytest.MonkeyPatch, n_train: int = 100, n_test: int = 50) -> None:
    """Make every published data set a small one, without known sums."""
    for name, own in CATALOGUE.items():
        files = {file: n_test if _is_test(file) else n_train
                 for file in own.files}  # fmt: skip
        monkeypatch.setitem(CATALOGUE, name, own._replace(files=files, sha256={}))


def _is_test(file: str) -> bool:
    return file.startswith("t10k") or "-test-" in file


def idx(own: Publication, train: Part, test: Part) -> dict[str, bytes]:
    """Return the files of a publication with these images."""
    found = {}
    for name in own.files:
        images, labels = test if _is_test(name) else train
        if "images" in name:
            content = (images.swapaxes(1, 2) if own.transposed else images).tobytes()
        elif name.endswith("idx2-int"):
            table = np.zeros((len(labels), 8), ">i4")
            table[:, 0], table[:, 1:] = labels, 99  # of the writer and the like
            content = table.tobytes()
        else:
            content = (labels + own.first_label).astype(np.uint8).tobytes()
        found[name] = own.header(name, len(labels)) + content
    return found


def write_idx(own: Publication, data_dir: Path, train: Part, test: Part) -> None:
    raw = data_dir / own.torchvision / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, content in idx(own, train, test).items():
        (raw / name).write_bytes(content)


def write_folder(path: Path, part: Part, names: Sequence[str]) -> None:
    """Write PNG files `path/<class>/<number>.png`."""
    for i, (image, label) in enumerate(zip(*part, strict=True)):
        file = path / names[label] / f"{i:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def write_npz(path: Path, train: Part, test: Part, **others: NDArray[np.generic]) -> None:
    arrays: dict[str, Any] = {"x_train": train[0], "y_train": train[1]}
    arrays |= {"x_test": test[0], "y_test": test[1], **others}
    np.savez(path, **arrays)


def write_kaggle(train: Part, test: Part) -> None:
    """Write `train.csv` and, without labels, `test.csv`, as Kaggle's digit recogniser has them."""
    pixels = [f"pixel{i}" for i in range(784)]
    for name, header, (images, labels) in (
        ("train", ["label", *pixels], train),
        ("test", pixels, test),
    ):
        rows: list[list[Any]] = images.reshape(len(images), -1).tolist()
        if name == "train":
            rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
        table: list[list[Any]] = [header, *rows]
        lines = [",".join(map(str, cells)) + "\n" for cells in table]
        Path(f"{name}.csv").write_text("".join(lines))


def drawn(image: NDArray[np.uint8], rng: np.random.Generator, scale: int = 5) -> Image.Image:
    """Dark ink on a white page, enlarged, with margins of up to 100 pixels."""
    large = Image.fromarray(255 - image).resize((28 * scale,) * 2, Image.Resampling.BICUBIC)
    left, top, right, bottom = (int(n) for n in rng.integers(0, 101, 4))
    page = Image.new("L", (large.width + left + right, large.height + top + bottom), 255)
    page.paste(large, (left, top))
    return page


def rows(split: tuple[Tensor, Tensor]) -> set[tuple[bytes, int]]:
    """Return the images and labels of a split, as `written` does."""
    images, labels = split
    return written((images[:, 0].numpy(), labels.numpy()))


def written(part: Part) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(*part, strict=True)}


class Terminal(io.StringIO):
    """Stands in for stderr as a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return what stays on the screen, of text whose only movements are CR and LF."""
        screen = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            screen.append(shown.rstrip())
        return [line for line in screen if line]
