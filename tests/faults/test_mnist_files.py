"""Published files: what counts as right, and the download against a loopback server."""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.datasets import MNIST

from helpers import Command, parts
from mnist_lit.data import download
from mnist_lit.data.catalogue import CATALOGUE, Publication
from mnist_lit.data.published import Published, Unavailable
from mnist_lit.errors import Argument, InputError, RunError

# MNIST's four files with a tenth of a thousand images each, most of them black, so that an archive
# is smaller than its file, as the real ones are.
SMALL = CATALOGUE["mnist"]._replace(files=dict.fromkeys(CATALOGUE["mnist"].files, 100))


def whole(publication: Publication, name: str) -> bytes:
    """Return a file as a publication describes it."""
    header, size = publication.header(name, publication.files[name]), publication.size(name)
    if "labels" in name:
        item = (size - len(header)) // publication.files[name]
        label = publication.first_label.to_bytes(min(item, 4)).ljust(item, b"\0")
        return header + label * publication.files[name]
    return header + random.Random(name).randbytes(3000).ljust(size - len(header), b"\0")


FILES = {name: whole(SMALL, name) for name in SMALL.files}
ARCHIVES = {f"{name}.gz": gzip.compress(content) for name, content in FILES.items()}
NAMES = list(FILES)
RAW = Path("data/MNIST/raw")
PATIENCE = 0.4


class Handler(BaseHTTPRequestHandler):
    server: "Mirrors"

    def do_GET(self) -> None:
        _, mirror, archive = self.path.split("/")
        self.server.requests.append(f"{mirror}/{archive.removesuffix('.gz')}")
        self.server.behaviours[mirror](self, ARCHIVES[archive])

    def start(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


Behaviour = Callable[[Handler, bytes], None]


def good(handler: Handler, archive: bytes) -> None:
    handler.start(len(archive))
    handler.wfile.write(archive)


def not_found(handler: Handler, archive: bytes) -> None:
    handler.send_error(404)


def overloaded(handler: Handler, archive: bytes) -> None:
    handler.send_error(503)


def login_page(handler: Handler, archive: bytes) -> None:
    good(handler, b"<html>Please log in to this network</html>")


def short(handler: Handler, archive: bytes) -> None:
    handler.start(len(archive))
    handler.wfile.write(archive[:2000])


def reset(handler: Handler, archive: bytes) -> None:
    short(handler, archive)
    # A linger of zero seconds makes closing a reset.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def garbled(handler: Handler, archive: bytes) -> None:
    good(handler, archive[:-1] + bytes([archive[-1] ^ 1]))


def mute(handler: Handler, archive: bytes) -> None:
    handler.server.ended.wait()


def drip(handler: Handler, archive: bytes) -> None:
    """Send half of the body at once, then 20 bytes a second, each within a socket's timeout."""
    short(handler, archive)
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


def steady(handler: Handler, archive: bytes) -> None:
    """Send 4 kB/s, for longer than `PATIENCE`."""
    handler.start(len(archive))
    for at in range(0, len(archive), 200):
        handler.wfile.write(archive[at : at + 200])
        time.sleep(0.05)


def endless(handler: Handler, archive: bytes) -> None:
    handler.start(None)
    while not handler.server.ended.is_set():
        handler.wfile.write(bytes(1 << 16))


# What the error then says of the mirror.
FAILURES: dict[Behaviour, str] = {
    not_found: "HTTP Error 404: Not Found",
    overloaded: "HTTP Error 503: Service Unavailable",
    login_page: f"sent 42 bytes that are not {NAMES[0]}.gz (md5)",
    short: f"sent 2,000 bytes that are not {NAMES[0]}.gz (md5)",
    reset: "Connection reset by peer",
    garbled: f"bytes that are not {NAMES[0]}.gz (md5)",
    mute: "",  # the socket's timeout or that of the whole transfer, whichever comes first
    drip: "under 1 kB/s",
    endless: "sent more than 78,416 bytes",
}


class Mirrors(ThreadingHTTPServer):
    """Two mirrors, `first` and `second`, that each behave as they are told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: dict[str, Behaviour] = {"first": good, "second": good}
        self.requests: list[str] = []
        self.ended = threading.Event()

    def handle_error(self, *args: Any) -> None:
        pass  # clients that hang up are what is tested


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirrors]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sums = {name: hashlib.sha256(raw).hexdigest() for name, raw in FILES.items()}
    md5s = [(name, hashlib.md5(archive).hexdigest()) for name, archive in ARCHIVES.items()]
    monkeypatch.setitem(CATALOGUE, "mnist", SMALL._replace(sha256=sums))
    monkeypatch.setattr(MNIST, "resources", md5s)
    with Mirrors() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(MNIST, "mirrors", [f"{address}/first/", f"{address}/second"])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def complete(mirrors: Mirrors) -> None:
    RAW.mkdir(parents=True)
    for name, content in FILES.items():
        (RAW / name).write_bytes(content)


def content() -> dict[str, bytes]:
    """Return what is in the folder, but for the lock; a temporary file would show."""
    return {path.name: path.read_bytes() for path in RAW.iterdir() if path.name != ".download.lock"}


def test_downloads_all_files(mirrors: Mirrors) -> None:
    Published("mnist", "data").ensure()
    assert content() == FILES
    assert mirrors.requests == [f"first/{name}" for name in NAMES]


@pytest.mark.usefixtures("complete")
def test_fetches_only_the_missing_file(mirrors: Mirrors) -> None:
    (RAW / NAMES[2]).unlink()
    Published("mnist", "data").ensure()
    assert content() == FILES
    assert mirrors.requests == [f"first/{NAMES[2]}"]


@pytest.mark.usefixtures("complete")
def test_complete_folder_is_left_alone(mirrors: Mirrors) -> None:
    # In place of a read-only folder, which does not stop root: there is not even a lock.
    before = RAW.stat().st_mtime_ns
    Published("mnist", "data").ensure()
    assert sorted(path.name for path in RAW.iterdir()) == sorted(NAMES)
    assert RAW.stat().st_mtime_ns == before
    assert mirrors.requests == []


@pytest.mark.parametrize("failure", FAILURES)
def test_next_mirror_helps(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch, failure: Behaviour
) -> None:
    monkeypatch.setattr(download, "PATIENCE", PATIENCE)
    mirrors.behaviours["first"] = failure
    Published("mnist", "data").ensure()
    assert content() == FILES
    # The mirror that failed is not asked again.
    assert mirrors.requests == [f"first/{NAMES[0]}", *(f"second/{name}" for name in NAMES)]


@pytest.mark.parametrize("failure", FAILURES)
def test_no_mirror_helps(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch, failure: Behaviour
) -> None:
    monkeypatch.setattr(download, "PATIENCE", PATIENCE)
    mirrors.behaviours = {"first": failure, "second": not_found}
    start = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        Published("mnist", "data").ensure()
    assert time.monotonic() - start < 2 * PATIENCE + 2
    first, second = caught.value.reason.split("; ")
    assert FAILURES[failure] in first
    assert "HTTP Error 404" in second
    assert content() == {}


def test_hanging_name_resolution_is_given_up(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*args: Any, **kwargs: Any) -> None:
        mirrors.ended.wait(10)
        raise OSError

    monkeypatch.setattr(download, "PATIENCE", PATIENCE)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    with pytest.raises(Unavailable, match="under 1 kB/s"):
        Published("mnist", "data").ensure()
    assert time.monotonic() - start < 2 * PATIENCE + 2


def test_steady_slow_mirror_is_not_given_up(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", PATIENCE / 2)
    mirrors.behaviours["first"] = steady
    file = io.BytesIO()
    download._transfer(f"{MNIST.mirrors[0]}{NAMES[0]}.gz", file, 4000)
    assert len(file.getvalue()) > 3000


@pytest.mark.parametrize(
    "archive, words",
    [
        (b"not gzip", "Not a gzipped file"),
        (ARCHIVES[f"{NAMES[0]}.gz"][:-20], "broken archive"),
        (ARCHIVES[f"{NAMES[0]}.gz"][:10] + b"\xff" * 100, "broken archive"),
        (gzip.compress(FILES[NAMES[0]] + b"x"), f"in which {NAMES[0]} is too long"),
        (gzip.compress(FILES[NAMES[0]][:-1] + b"x"), f"does not hold {NAMES[0]} .sha256"),
    ],
    ids=["no-gzip", "truncated", "damaged", "longer", "other-images"],
)
def test_broken_archive_of_the_right_md5(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch, archive: bytes, words: str
) -> None:
    md5s = {**dict(MNIST.resources), f"{NAMES[0]}.gz": hashlib.md5(archive).hexdigest()}
    monkeypatch.setattr(MNIST, "resources", list(md5s.items()))
    monkeypatch.setitem(ARCHIVES, f"{NAMES[0]}.gz", archive)
    with pytest.raises(Unavailable, match=words):
        Published("mnist", "data").ensure()
    assert content() == {}


DAMAGE = pytest.mark.parametrize(
    "damage, problem",
    [
        (lambda content: content[:-1], "has {short} bytes instead of {size}"),
        (lambda content: b"", "has 0 bytes instead of {size}"),
        (
            lambda content: bytes([content[0] ^ 1]) + content[1:],
            "differs from the published file (sha256)",
        ),
    ],
    ids=["truncated", "empty", "flipped"],
)


def header(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (IMAGES, lambda content: content[:-1]),
        (IMAGES, lambda content: b""),
        (IMAGES, lambda content: b"<html>log in</html>"),
        (IMAGES, lambda content: header(2049, 10_000, 28, 28) + content[16:]),
        (IMAGES, lambda content: header(2051, 7_656, 32, 32) + content[16:]),
        (IMAGES, lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]),
        (LABELS, lambda content: header(2049, 9_997) + content[8:-3]),
        (LABELS, lambda content: content[:8] + bytes([77]) + content[9:]),
    ],
    ids=["truncated", "empty", "html", "magic", "32x32", "flipped", "fewer-labels", "label-77"],
)
def test_damage_of_the_real_files_stops_training(
    command: Command, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Any
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [])
    RAW.mkdir(parents=True)
    for path in (mnist_dir / "MNIST" / "raw").iterdir():
        if path.name in SMALL.files:
            (RAW / path.name).symlink_to(path)
    (RAW / name).unlink()
    (RAW / name).write_bytes(damage((mnist_dir / "MNIST" / "raw" / name).read_bytes()))
    answer = command("fit", "--trainer.max_epochs", 1)
    assert answer.code == 1 and answer.err.count("\n") == 1
    assert answer.err.startswith(f"error: {RAW / name} ") and "replace it, or delete" in answer.err
    assert not Path("runs").exists()


Damage = Callable[[bytes], bytes]


def said(problem: str, name: str) -> str:
    size = len(FILES[name])
    return problem.format(short=f"{size - 1:,}", size=f"{size:,}")


def test_missing_files_are_a_problem() -> None:
    assert Published("mnist", "data").problems() == dict.fromkeys(NAMES, "is missing")
    assert not Published("mnist", "data").is_complete()


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("name", NAMES)
@DAMAGE
def test_damage_is_a_problem(name: str, damage: Damage, problem: str) -> None:
    (RAW / name).write_bytes(damage(FILES[name]))
    assert Published("mnist", "data").problems() == {name: said(problem, name)}


@pytest.mark.usefixtures("complete")
@DAMAGE
def test_damaged_file_is_fetched_again(mirrors: Mirrors, damage: Damage, problem: str) -> None:
    (RAW / NAMES[1]).write_bytes(damage(FILES[NAMES[1]]))
    Published("mnist", "data").ensure()
    assert content() == FILES
    assert mirrors.requests == [f"first/{NAMES[1]}"]


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("missing", [[], NAMES[:1]], ids=["none-missing", "one-missing"])
@DAMAGE
def test_damaged_file_that_cannot_be_fetched(
    mirrors: Mirrors, missing: list[str], damage: Damage, problem: str
) -> None:
    """It is an error of its own: `Unavailable` would let the sample stand in."""
    (RAW / NAMES[1]).write_bytes(damage(FILES[NAMES[1]]))
    for name in missing:
        (RAW / name).unlink()
    before = content()
    mirrors.behaviours = {"first": not_found, "second": overloaded}
    with pytest.raises(RunError) as caught:
        Published("mnist", "data").ensure()
    assert not isinstance(caught.value, Unavailable)
    for part in (f"{RAW / NAMES[1]} {said(problem, NAMES[1])}", "HTTP Error 404", "HTTP Error 503"):
        assert part in str(caught.value)
    assert content() == before


@pytest.mark.parametrize("n", [2, 5])
def test_runs_that_start_together_share_one_download(mirrors: Mirrors, n: int) -> None:
    def slow(handler: Handler, archive: bytes) -> None:
        time.sleep(0.1)
        good(handler, archive)

    mirrors.behaviours["first"] = slow
    with ThreadPoolExecutor(n) as pool:
        assert list(pool.map(lambda _: Published("mnist", "data").ensure(), range(n))) == [None] * n
    assert content() == FILES
    assert mirrors.requests == [f"first/{name}" for name in NAMES]


def test_no_room_is_said_before_the_download(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")._replace(free=157_047)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RunError, match=r"has 0 MB left and MNIST needs 0: make room, or name"):
        Published("mnist", "data").ensure()
    assert mirrors.requests == [] and content() == {}


CHILD = """
import json, sys
from torchvision.datasets import MNIST
from mnist_lit.data.catalogue import CATALOGUE, Publication
from mnist_lit.data.published import Published
MNIST.mirrors, MNIST.resources, own = json.load(sys.stdin)
CATALOGUE["mnist"] = Publication(*own)
Published("mnist", "data").ensure()
"""


@pytest.mark.parametrize("moment", ["download", "extraction"])
def test_killed_while_it_fetches(mirrors: Mirrors, moment: str) -> None:
    """Nothing half-fetched stands under a final name, and the next start succeeds."""
    arrived = threading.Event()

    def hanging(handler: Handler, archive: bytes) -> None:
        if moment == "download":
            short(handler, archive)
            handler.wfile.flush()
        arrived.set()
        if moment == "download":
            handler.server.ended.wait()
        else:
            good(handler, archive)

    mirrors.behaviours["first"] = hanging
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        json.dump([MNIST.mirrors, MNIST.resources, CATALOGUE["mnist"]], child.stdin)
        child.stdin.close()
        assert arrived.wait(60)
        child.kill()
    mirrors.behaviours["first"] = good
    for name, found in content().items():
        assert name.startswith(".") or found == FILES[name]
    Published("mnist", "data").ensure()
    assert {name: found for name, found in content().items() if name[0] != "."} == FILES


@pytest.mark.mnist
def test_read_only_data_folder_works(mnist_dir: Path) -> None:
    raw = Path("data/MNIST/raw")
    shutil.copytree(mnist_dir / "MNIST" / "raw", raw)
    for folder in (raw, raw.parent, Path("data")):
        folder.chmod(0o555)
    args: list[str] = [sys.executable, "-m", "mnist_lit", "test", "--ckpt_path", "pretrained"]
    if os.geteuid() == 0:  # whom no permission stops, but for this
        args = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *args]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    for folder in (Path("data"), raw.parent, raw):
        folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, "") and "n           10000" in done.stdout


def test_full_disk(mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError) as caught:
        Published("mnist", "data").ensure()
    assert not isinstance(caught.value, Unavailable)
    assert caught.value.subject == RAW
    assert caught.value.problem == "cannot be written (No space left on device)"
    assert content() == {}


def test_data_dir_that_is_a_file() -> None:
    Path("data").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        Published("mnist", "data").ensure()
    assert caught.value.subject == Argument("data_dir", "data")


@pytest.mark.parametrize("data_dir", ["/dev/null/x", "file/x", "holds-a-file"])
def test_folder_that_cannot_be_made(data_dir: str) -> None:
    Path("file").write_bytes(b"")
    Path("holds-a-file").mkdir()
    Path("holds-a-file/MNIST").write_bytes(b"")
    with pytest.raises(RunError) as caught:
        Published("mnist", data_dir).ensure()
    assert not isinstance(caught.value, Unavailable)
    assert caught.value.subject == Published("mnist", data_dir).raw
    assert str(caught.value.problem).startswith("cannot be written (")
    assert Argument("data_dir") in parts(caught.value.remedy)
    assert "\n" not in str(caught.value)


@pytest.mark.mnist
def test_published_files(mnist_dir: Path) -> None:
    assert Published("mnist", str(mnist_dir)).problems() == {}
    assert Published("mnist", str(mnist_dir)).is_complete()
    for part, n in (("train", 60_000), ("test", 10_000)):
        images, labels = Published("mnist", str(mnist_dir)).read(part)
        assert (images.shape, images.dtype) == ((n, 1, 28, 28), torch.uint8)
        assert (labels.shape, labels.dtype) == ((n,), torch.int64)
    assert labels[0] == 7
