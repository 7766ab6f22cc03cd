"""What a download leaves on the screen; tests/faults/test_mnist_files.py has the mirrors."""

import io
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import small_data
from mnist_lit.data import download
from mnist_lit.data.published import Published, Unavailable


class Response(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.headers = Message()
        self.headers["Content-Length"] = "100000"


def broken(*args: Any, **options: Any) -> Response:
    return Response(b"half of it")


def refused(*args: Any, **options: Any) -> Response:
    raise urllib.error.URLError("no route to host")


@pytest.mark.parametrize("answer", [broken, refused])
def test_no_bar_is_left_after_a_failure(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    terminal = small_data.Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(Unavailable):
        Published("mnist", "data").ensure()
    assert "train-images-idx3-ubyte.gz" in terminal.getvalue() and terminal.lines() == []


def test_full_disk_is_not_the_fault_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, content: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(urllib.request, "urlopen", broken)
    with pytest.raises(OSError, match="No space left"):
        download._transfer("http://localhost/a.gz", Full(), 1000)


def test_recorded_checksums() -> None:
    Path("raw").mkdir()
    assert download.recorded(Path("raw")) == {}
    Path("raw/SHA256SUMS").write_text("abc  one\ndef  two\n")
    assert download.recorded(Path("raw")) == {"one": "abc", "two": "def"}
    Path("raw/SHA256SUMS").write_bytes(b"\xff")
    assert download.recorded(Path("raw")) == {}
