"""What is kept of converted pictures, and when it is redone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_data
from mnist_lit.data import cache
from mnist_lit.data.folder import Folder
from mnist_lit.pictures import preprocessing as pictures
from small_data import rows

NAMES = ["class 0", "class 1"]
KEPT = Path(".cache/mnist-lit/pictures")


def loaded(path: str = "mine", **options: Any) -> dict[str, Any]:
    found = Folder(Path(path), **options)
    found.prepare()
    return found.load(0)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that were converted, in this process."""
    done: list[Path] = []
    read = pictures.read

    def remembered(path: Path, *args: Any) -> pictures.Picture:
        done.append(path)
        return read(path, *args)

    monkeypatch.setattr(pictures, "read", remembered)
    return done


def test_each_picture_is_converted_once(conversions: list[Path]) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(30, 2), NAMES)
    first = loaded()
    assert len(conversions) == 30
    again = loaded()
    assert len(conversions) == 30
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)
    Image.new("L", (28, 28), 7).save("mine/class 0/00000.png")
    small_data.write_folder(Path("mine/class 1"), small_data.digits(2, 1, skip=40), ["more"])
    changed = loaded()
    assert len(conversions) == 30 + 3
    everything = rows(changed["train"]) | rows(changed["test"])
    assert len(everything) == 32 and (bytes([7]) * 784, 0) in everything
    loaded(preprocessing="mnist")
    assert len(conversions) == 33 + 32


def store() -> Path:
    (found,) = KEPT.glob("*.npz")
    return found


def test_each_preprocessing_and_size_has_its_own(conversions: list[Path]) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    kinds: list[dict[str, Any]] = [
        {}, {"preprocessing": "mnist"}, {"image_size": 64},
        {"preprocessing": "mnist", "image_size": 64},
    ]  # fmt: skip
    for n, options in enumerate(kinds, 1):
        side = options.get("image_size", 28)
        assert loaded(**options)["train"][0].shape[2:] == (side, side)
        assert len(conversions) == 20 * n
    for options in kinds:
        loaded(**options)
    assert len(conversions) == 80 and len(list(KEPT.glob("*.npz"))) == 4


def test_another_conversion_has_its_own(
    conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's version says nothing of how pictures are converted; this number does."""
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    loaded()
    monkeypatch.setattr("mnist_lit.__version__", "99")
    loaded()
    assert len(conversions) == 20
    monkeypatch.setattr(cache, "CONVERSION", cache.CONVERSION + 1)
    loaded()
    assert len(conversions) == 40


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: c[:500] + b"xxxx" + c[504:]],
    ids=["cut", "empty", "changed"],
)
def test_damaged_store_is_redone(conversions: list[Path], damage: Any) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    store().write_bytes(damage(store().read_bytes()))
    again = loaded()
    assert len(conversions) == 40
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)


@pytest.mark.parametrize(
    "images, index",
    [
        (np.zeros((3, 28, 28), np.uint8), None),
        (np.zeros((20, 32, 32), np.uint8), None),
        (np.zeros((20, 28, 28)), None),
        (None, b"not JSON"),
        (None, b"[1, 2]"),
        (None, b'{"a": 1}'),
        (None, json.dumps([["a", "b", "c", "d"]] * 20).encode()),
        (None, json.dumps([["same", 1, 2, ""]] * 20).encode()),
        (None, b"[" * 100_000),
    ],
)
def test_malformed_store_is_redone(conversions: list[Path], images: Any, index: Any) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    with np.load(store()) as archive:
        kept = dict(archive)
    given = {"images": images, "index": index and np.frombuffer(index, np.uint8)}
    np.savez(store(), **{**kept, **{k: v for k, v in given.items() if v is not None}})
    again = loaded()
    assert len(conversions) == 40
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)


def test_complete_store_need_not_be_written() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    age = store().stat().st_mtime_ns
    for path in KEPT.iterdir():
        if path.suffix == ".lock":
            path.unlink()
    assert rows(loaded()["test"]) == rows(first["test"])
    assert list(KEPT.iterdir()) == [store()] and store().stat().st_mtime_ns == age


def test_nowhere_to_keep_them(
    conversions: list[Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), NAMES)
    first = loaded()
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").resolve()))
    Path("file").touch()
    again = loaded()
    assert len(conversions) == 40
    assert all(np.array_equal(first[part][0], again[part][0]) for part in first)
    (said,) = caplog.messages
    assert "file/mnist-lit/pictures cannot be written (" in said


def test_long_name() -> None:
    small_data.write_folder(Path("字" * 80), small_data.digits(20, 2), NAMES)
    loaded("字" * 80)
    assert store().is_file()
