"""The four MNIST files: checked at every start, fetched where they are missing or wrong.

Layout, archive names, md5 sums and mirrors are torchvision's; sizes and sha256 sums are those of
the files in the published archives.
"""

import gzip
import hashlib
import http.client
import shutil
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from mnist_lit.errors import InputError, RunError
from mnist_lit.files import atomic_write

CLASS_NAMES = [str(digit) for digit in range(10)]

# name: bytes, sha256
FILES = {
    "train-images-idx3-ubyte": (
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

# A mirror that sends under 1 kB/s for this many seconds is given up, be it mute or dripping. Two
# mirrors that do not answer at all so cost 16 s.
PATIENCE = 8.0


class Unavailable(RunError):
    """MNIST is neither on disk nor to be downloaded; the embedded sample may stand in."""


def folder(data_dir: str) -> Path:
    """Return the folder of the raw files, in torchvision's layout."""
    return Path(data_dir) / "MNIST" / "raw"


def problems(data_dir: str) -> dict[str, str]:
    """Return what is wrong with each file, in words; empty where all four are right.

    Raises:
        InputError: `data_dir` is a file.
        RunError: A file is there but cannot be read.
    """
    if Path(data_dir).exists() and not Path(data_dir).is_dir():
        raise InputError(f"--data.data_dir {data_dir} is not a folder: name one, or leave it out")
    found = {}
    for name, (size, sha256) in FILES.items():
        path = folder(data_dir) / name
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            found[name] = "is missing"
            continue
        except IsADirectoryError as error:
            raise RunError(f"{path} is a folder: remove it, and the file is downloaded") from error
        except OSError as error:
            raise RunError(
                f"{path} cannot be read ({error.strerror}): mend its permissions"
            ) from error
        if len(content) != size:
            found[name] = f"has {len(content):,} bytes instead of {size:,}"
        elif hashlib.sha256(content).hexdigest() != sha256:
            found[name] = "differs from the published file (sha256)"
    return found


def is_complete(data_dir: str) -> bool:
    """Tell whether all four files are there, without reading them."""
    return all((folder(data_dir) / name).is_file() for name in FILES)


def ensure(data_dir: str) -> None:
    """See that all four files are there and right; download those that are not.

    Runs that start together share one download: the first fetches, the others wait for it.

    Raises:
        Unavailable: Files are missing and cannot be downloaded.
        RunError: A wrong file cannot be replaced, or the folder cannot be written.
    """
    if not problems(data_dir):
        return
    raw = folder(data_dir)
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / ".download.lock"):
            _mend(data_dir)
    except OSError as error:
        raise RunError(
            f"cannot write to {raw} ({error.strerror or error}): "
            "make it writable, name another folder by --data.data_dir, or use --data.source sample"
        ) from error


def _mend(data_dir: str) -> None:
    from torchvision.datasets import MNIST  # takes seconds to import, and few starts need it

    md5s, mirrors = dict(MNIST.resources), list(MNIST.mirrors)
    wrong = problems(data_dir)  # again: another run may have fetched them while this one waited
    need = sum(FILES[name][0] for name in wrong)
    free = shutil.disk_usage(folder(data_dir)).free
    if free < need:
        raise RunError(
            f"{folder(data_dir)} has {free / 1e6:.0f} MB left and MNIST needs {need / 1e6:.0f}: "
            "make room, or name another folder by --data.data_dir"
        )
    for name in wrong:
        reasons = []
        for mirror in list(mirrors):
            try:
                content = _download(f"{mirror.rstrip('/')}/{name}.gz", name, md5s[f"{name}.gz"])
            except (OSError, http.client.HTTPException, ValueError) as error:
                # An HTTPError says all itself; other URLErrors wrap what went wrong.
                why = error.reason if type(error) is urllib.error.URLError else error
                reasons.append(f"{urlsplit(mirror).netloc}: {why}")
                # Whoever failed is asked last for the files that follow.
                mirrors.remove(mirror)
                mirrors.append(mirror)
            else:
                with atomic_write(folder(data_dir) / name) as file:
                    file.write(content)
                break
        else:
            why = "; ".join(reasons)
            damaged = [n for n, problem in wrong.items() if problem != "is missing"]
            if damaged:
                raise RunError(
                    f"{folder(data_dir) / damaged[0]} {wrong[damaged[0]]} and could not be fetched "
                    f"again ({why}): replace it, or delete it to do without"
                )
            raise Unavailable(why)


def _download(url: str, name: str, md5: str) -> bytes:
    """Return the checked content of the gzip archive at `url`, whose raw file is `name`."""
    size, sha256 = FILES[name]
    archive = _fetch(url, limit=size)
    if hashlib.md5(archive, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"sent {len(archive):,} bytes that are not {name}.gz (md5)")
    try:
        content = gzip.decompress(archive)
    except (EOFError, zlib.error) as error:
        raise ValueError(f"sent a broken archive ({error})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"sent an archive that does not hold {name} (sha256)")
    return content


def _fetch(url: str, *, limit: int) -> bytes:
    """Return the body at `url`, of at most `limit` bytes.

    Raises:
        OSError: No answer, a broken connection, or under 1 kB/s for `PATIENCE` seconds.
        ValueError: More than `limit` bytes.
    """
    body = bytearray()
    failure: list[BaseException] = []
    given_up = threading.Event()

    def transfer() -> None:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "mnist-lit"})
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                bar.total = int(response.headers.get("Content-Length") or 0) or None
                while not given_up.is_set() and (chunk := response.read1(1 << 16)):
                    body.extend(chunk)
                    if len(body) > limit:
                        raise ValueError(f"sent more than {limit:,} bytes")
        except BaseException as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            failure.append(error)

    # A thread, because no timeout of a socket covers name resolution or a server that drips.
    worker = threading.Thread(target=transfer, daemon=True)
    with tqdm(desc=url.rsplit("/", 1)[-1], unit="B", unit_scale=True, disable=None) as bar:
        worker.start()
        marked, marked_at = 0, time.monotonic()
        while worker.is_alive():
            worker.join(0.1)
            bar.update(len(body) - bar.n)
            if time.monotonic() - marked_at > PATIENCE:
                if len(body) - marked < 1000 * PATIENCE:
                    given_up.set()
                    raise TimeoutError(f"under 1 kB/s for {PATIENCE:.0f} s")
                marked, marked_at = len(body), time.monotonic()
    if failure:
        raise failure[0]
    return bytes(body)


def load(data_dir: str, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return the images as uint8 of shape N×1×28×28 and the labels as int64 of shape N."""
    prefix = "train" if train else "t10k"
    raw = folder(data_dir)
    # The sums were right at the start, so the headers (16 and 8 bytes) are known.
    images = np.fromfile(raw / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(raw / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)
    return torch.from_numpy(images).view(-1, 1, 28, 28), torch.from_numpy(labels).long()


def missing_message(data_dir: str, reason: str) -> str:
    """Return one line that says which files are wanted, where, and which commands help."""
    return (
        f"MNIST is not in {folder(data_dir)} and could not be downloaded ({reason}): "
        f"put {', '.join(FILES)} there, name their folder by --data.data_dir DIR or "
        "MNIST_LIT_DATA_DIR, see `python -m mnist_lit doctor`, or train on the embedded sample "
        "by --data.source sample"
    )


def warn_of_sample(reason: str) -> None:
    """Print, in a box on stderr, that the sample stands in for MNIST and why."""
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
