"""Converting pictures: in order, in other processes, with errors as values, stopped by signals."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import small_data
from mnist_lit.data import conversion
from mnist_lit.data.conversion import convert
from mnist_lit.data.folder import Folder
from mnist_lit.errors import InputError
from mnist_lit.pictures import preprocessing as pictures

NAMES = [f"class {n}" for n in range(5)]


def png_files(n: int) -> list[Path]:
    small_data.write_folder(Path("mine"), small_data.digits(n, 5), NAMES)
    return sorted(Path("mine").rglob("*.png"), key=lambda path: path.name)


def test_files_in_order_with_errors_as_values() -> None:
    paths = png_files(30)
    paths[3].write_bytes(b"broken")
    found = list(convert(paths, "plain", 28, "mine"))
    images, _ = small_data.digits(30, 5)
    for i, (image, expected) in enumerate(zip(found, images, strict=True)):
        if i != 3:
            assert np.array_equal(image, expected)  # type: ignore[arg-type]
    assert isinstance(found[3], InputError) and found[3].subject == paths[3]
    assert str(found[3].problem).startswith("is not a whole PNG")


def test_arrays() -> None:
    images = np.pad(small_data.digits(5, 5)[0], ((0, 0), (10, 0), (0, 30)))
    for preprocessing in pictures.PREPROCESSING:
        found = list(convert(images, preprocessing, 48, "mine"))
        for image, grey in zip(found, images.astype(np.float32), strict=True):
            assert np.array_equal(image, pictures.prepare(grey, preprocessing, 48).image)  # type: ignore[arg-type]


def test_many_are_converted_after_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's threads, had the first picture started them, would not be there after a fork."""
    monkeypatch.setattr(conversion, "FEW", 2)
    image = np.pad(small_data.digits(1, 1)[0], ((0, 0), (200, 200), (200, 200)))
    (first,) = convert(image, "mnist", 28, "mine")
    assert cv2.getNumThreads() == 1
    for found in convert(np.repeat(image, 70, axis=0), "mnist", 28, "mine"):
        assert np.array_equal(found, first)  # type: ignore[arg-type]


def test_many_are_converted_in_other_processes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paths = png_files(300)
    paths[7].write_bytes(b"broken")
    read, parent = pictures.read, os.getpid()

    def elsewhere(*args: Any) -> pictures.Picture:
        assert os.getpid() != parent
        return read(*args)

    monkeypatch.setattr(pictures, "read", elsewhere)
    found = list(convert(paths, "plain", 28, "mine"))
    assert [i for i, image in enumerate(found) if isinstance(image, InputError)] == [7]
    images, _ = small_data.digits(300, 5)
    assert np.array_equal(found[299], images[299])  # type: ignore[arg-type]
    (message,) = caplog.messages
    assert message.startswith("300 pictures of mine converted in ")


def test_no_bar_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = small_data.Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert len(list(convert(png_files(40), "plain", 28, "mine"))) == 40
    assert "mine" in terminal.getvalue() and terminal.lines() == []


SLOW = """
import sys, time
from pathlib import Path
from mnist_lit import cli
from mnist_lit.pictures import preprocessing as pictures
read = pictures.read
def slow(path, *args):
    time.sleep(0.005)
    Path("done", path.name).touch()
    return read(path, *args)
pictures.read = slow
sys.exit(cli.main(["samples", "--data.dataset", "mine", "--output", "x.png"]))
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_conversion_keeps_what_is_done(
    signum: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(2000, 5), NAMES)
    done = Path("done")
    done.mkdir()
    # A group of its own, so that Ctrl-C reaches the converting processes as in a terminal.
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 60
    while sum(1 for _ in done.iterdir()) < 500 and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(child.pid, signum) if signum == signal.SIGINT else child.send_signal(signum)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + signum
    assert err.count("\n") == 1 and f"stopped by {signum.name}" in err
    with pytest.raises(ProcessLookupError):  # none is left behind
        os.killpg(child.pid, 0)
    monkeypatch.setattr(conversion, "FEW", 10**6)  # in this process, where they are counted
    converted: list[Path] = []
    read = pictures.read

    def remembered(path: Path, *args: Any) -> pictures.Picture:
        converted.append(path)
        return read(path, *args)

    monkeypatch.setattr(pictures, "read", remembered)
    Folder(Path("mine")).prepare()
    assert 0 < len(converted) < 2000
