"""Published files in other places and forms."""

import gzip
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

import small_data
from helpers import Command
from mnist_lit.data import places
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.published import Published, Unavailable

TRAIN, TEST = small_data.digits(100, 10), small_data.digits(50, 10, skip=100)
Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, Files]:
    """Small data sets with known checksums and no address; their files by their names."""
    small_data.shrink(monkeypatch)
    found = {}
    for name in ("mnist", "fashion", "kmnist"):
        own = CATALOGUE[name]
        found[name] = small_data.idx(own, TRAIN, TEST)
        sums = {file: hashlib.sha256(raw).hexdigest() for file, raw in found[name].items()}
        known = {} if name == "kmnist" else sums
        monkeypatch.setitem(CATALOGUE, name, own._replace(sha256=known))
        monkeypatch.setattr(getattr(torchvision.datasets, own.torchvision), "mirrors", [])
    return found


def write(folder: Path | str, files: Files, name: Callable[[str], str] = str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        path = Path(folder) / name(file)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def loads(name: str) -> None:
    """See that the whole set is found and left where it is."""
    before = sorted(Path().rglob("*"))
    found = Published(name, "data", "full" if name == "mnist" else "auto")
    found.prepare()
    # Another process loads without having prepared.
    for each in (found, Published(name, "data")):
        splits = each.load(0)
        assert each.name == name
        assert np.array_equal(splits["train"][0][:, 0], TRAIN[0])
        assert np.array_equal(splits["test"][0][:, 0], TEST[0])
        assert splits["test"][1].tolist() == TEST[1].tolist()
    assert sorted(Path().rglob("*")) == before and found.is_complete()


def dotted(name: str) -> str:
    return name.replace("-idx", ".idx")


@pytest.mark.parametrize("name", ["mnist", "fashion", "kmnist"])
@pytest.mark.parametrize("folder", ["raw", "{0}/raw", ""])
@pytest.mark.parametrize("spelled", [str, dotted, "{}.gz".format, lambda n: f"{dotted(n)}.gz"])
def test_other_folders_and_names(
    files: dict[str, Files], name: str, folder: str, spelled: Callable[[str], str]
) -> None:
    torchvisions = CATALOGUE[name].torchvision
    write(Path("data") / torchvisions / folder.format(torchvisions), files[name], spelled)
    loads(name)


def test_one_file_here_and_others_there(files: dict[str, Files]) -> None:
    each = [{name: content} for name, content in files["mnist"].items()]
    write("data/MNIST/raw", each[0])
    write("data/MNIST/raw", each[1], "{}.gz".format)
    write("data/MNIST/MNIST/raw", each[2])
    write("data/MNIST/raw", each[3], dotted)
    loads("mnist")


@pytest.mark.parametrize("folder", ["", "raw"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_emnists_archive(folder: str, unpacked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.EMNIST, "url", "http://127.0.0.1:9/gzip.zip")
    own = CATALOGUE["emnist-digits"]
    raw = small_data.idx(own, TRAIN, TEST)
    parent = Path("data/EMNIST") / folder
    if unpacked:
        write(parent / "gzip", raw, "{}.gz".format)
    else:
        parent.mkdir(parents=True)
        with zipfile.ZipFile(parent / "gzip.zip", "w") as archive:
            for name, content in raw.items():
                archive.writestr(f"gzip/{name}.gz", gzip.compress(content))
            archive.writestr("gzip/emnist-byclass-train-labels-idx1-ubyte.gz", b"not wanted")
    loads("emnist-digits")
    for path in Path().rglob("*gz*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Unavailable):
        Published("emnist-digits", "data").ensure()


def test_kerass_cache(files: dict[str, Files], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", "keras")
    Path("keras/datasets").mkdir(parents=True)
    small_data.write_npz(Path("keras/datasets/mnist.npz"), TRAIN, TEST)
    with np.load("keras/datasets/mnist.npz") as archive:  # Keras's own labels are bytes
        arrays: Any = {name: archive[name].astype(np.uint8) for name in archive}
    np.savez("keras/datasets/mnist.npz", **arrays)
    loads("mnist")
    write("keras/datasets/fashion-mnist", files["fashion"], "{}.gz".format)
    loads("fashion")


def test_debians_package(files: dict[str, Files], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DEBIAN", Path("debian"))
    write("debian/fashion-mnist", files["fashion"], "{}.gz".format)
    loads("fashion")
    with pytest.raises(Unavailable):  # its files have the same names
        Published("kmnist", "data").prepare()


def test_another_file_of_that_name_is_not_taken(
    files: dict[str, Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", "keras")
    Path("keras/datasets").mkdir(parents=True)
    small_data.write_npz(Path("keras/datasets/mnist.npz"), TEST, TRAIN)
    write("data/MNIST/raw", files["mnist"], lambda name: f"{name}.gz")
    path = Path("data/MNIST/raw/t10k-labels-idx1-ubyte.gz")
    for content in (b"no archive", path.read_bytes()[:-20], gzip.compress(bytes(58))):
        path.write_bytes(content)
        found = Published("mnist", "data", "full")
        assert found.problems() == {"t10k-labels-idx1-ubyte": "is missing"}
        with pytest.raises(Unavailable):
            found.prepare()
        other = Published("mnist", "data")
        assert len(other.load(0)["train"][1]) == 4000 and other.name == "mnist-sample-5k"


def test_a_damaged_file_beside_a_right_one(files: dict[str, Files]) -> None:
    write("data/MNIST/raw", files["mnist"])
    path = Path("data/MNIST/raw/train-images-idx3-ubyte")
    right = path.read_bytes()
    path.write_bytes(right[:-1] + b"\1")
    assert Published("mnist", "data").problems()
    Path(f"{path}.gz").write_bytes(gzip.compress(right))
    loads("mnist")


def test_an_archive_of_more_than_the_file_is_not_unpacked_whole(files: dict[str, Files]) -> None:
    write("data/MNIST/raw", files["mnist"], "{}.gz".format)
    name = "t10k-labels-idx1-ubyte"
    content = files["mnist"][name] + bytes(1_000_000)
    Path(f"data/MNIST/raw/{name}.gz").write_bytes(gzip.compress(content))
    (place,) = places.places(CATALOGUE["mnist"], "data", name)
    found = place.content(CATALOGUE["mnist"], name)
    assert found is not None and len(found) == CATALOGUE["mnist"].size(name) + 1
    assert name in Published("mnist", "data").problems()


def test_doctor_says_where(command: Command, files: dict[str, Files]) -> None:
    write("data/MNIST/MNIST/raw", files["mnist"])
    answer = command("doctor")
    assert "in data/MNIST/MNIST/raw/train-images-idx3-ubyte" in answer.out


def test_the_real_fashion_package(
    fashion_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()  # the real checksums
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "DEBIAN", fashion_dir.parent)
    found = Published("fashion", "data")
    found.prepare()
    splits = found.load(0)
    assert splits["train"][0].shape == (60_000, 1, 28, 28)
    assert splits["test"][1].bincount().tolist() == [1000] * 10
    assert not Path("data").exists()
