"""Downloading the files of a published data set from where torchvision finds them, safely."""

import contextlib
import gzip
import hashlib
import http.client
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm

from mnist_lit.data.catalogue import CATALOGUE, Publication
from mnist_lit.errors import Argument, RunError
from mnist_lit.files import atomic_write

# A server that sends under 1 kB/s for this many seconds is given up, whether it sends nothing or a
# little. Two that don't answer at all cost 16 s.
PATIENCE = 8.0
ZIP_LIMIT = 600_000_000  # bytes; EMNIST's, the only zip, has 561,753,746
SUMS = "SHA256SUMS"


class Refused(Exception):
    """An address doesn't give what it should; the text says why."""


class Archive(NamedTuple):
    """A download: its addresses, its md5 checksum, and the data files in it."""

    urls: tuple[str, ...]
    md5: str
    names: tuple[str, ...]


def recorded(raw: Path) -> dict[str, str]:
    """Return the sha256 checksums that were recorded in a folder when its files were unpacked."""
    try:
        lines = (raw / SUMS).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def fetch_files(publication: Publication, raw: Path, wanted: Set[str]) -> None:
    """Download files into a folder; the caller holds the folder's lock.

    Raises:
        Refused: No address gives one of the files.
        RunError: There is no room.
        OSError: The folder cannot be written.
    """
    # Sets that share a folder share the archive too: what is fetched for one serves the others.
    siblings = [p for p in CATALOGUE.values() if p.torchvision == publication.torchvision]
    owners = {name: sibling for sibling in siblings for name in sibling.files}
    parts = {
        archive: [name for name in archive.names if name in wanted or not (raw / name).exists()]
        for archive in _archives(publication, list(owners))
        if wanted & set(archive.names)
    }
    need = sum(owners[name].size(name) for names in parts.values() for name in names)
    need += sum(ZIP_LIMIT for archive in parts for url in archive.urls if url.endswith(".zip"))
    free = shutil.disk_usage(raw).free
    if free < need:
        raise RunError(
            raw,
            f"has {free / 1e6:.0f} MB left and {publication.torchvision} needs {need / 1e6:.0f}",
            ("make room, or name another folder by", Argument("data_dir")),
        )
    failed: set[str] = set()  # an address that failed is tried last for the files that follow
    for archive, names in parts.items():
        _fetch(archive, {name: owners[name] for name in names}, raw, wanted, failed)


def _fetch(
    archive: Archive,
    files: Mapping[str, Publication],
    raw: Path,
    wanted: Set[str],
    failed: set[str],
) -> None:
    """Download an archive from the first address that gives it, and unpack files out of it.

    Raises:
        Refused: No address gives it.
        OSError: The folder cannot be written.
    """
    limit = max(owner.size(name) for name, owner in files.items())
    reasons = []
    for url in sorted(archive.urls, key=lambda url: url.rsplit("/", 1)[0] in failed):
        try:
            with tempfile.TemporaryFile(dir=raw) as file:
                _download(url, archive.md5, file, limit)
                for name, owner in files.items():
                    _extract(file, url, name, owner, raw, needed=name in wanted)
        except Refused as error:
            reasons.append(f"{urlsplit(url).netloc}: {error}")
            failed.add(url.rsplit("/", 1)[0])
        else:
            return
    raise Refused("; ".join(reasons))


def _archives(publication: Publication, shared: Sequence[str]) -> list[Archive]:
    """Return where torchvision finds a data set; `shared` is all files in its folder."""
    import torchvision.datasets  # takes seconds, and few starts need it

    own = getattr(torchvision.datasets, publication.torchvision)
    if publication.torchvision == "EMNIST":
        return [Archive((own.url,), own.md5, tuple(shared))]
    if publication.torchvision == "QMNIST":
        resources = (*own.resources["train"], *own.resources["test"])
        places = {url.rsplit("/", 1)[-1]: Archive((url,), md5, ()) for url, md5 in resources}
    else:
        mirrors = [mirror.rstrip("/") for mirror in own.mirrors]
        places = {
            archive: Archive(tuple(f"{mirror}/{archive}" for mirror in mirrors), md5, ())
            for archive, md5 in own.resources
        }
    return [places[f"{name}.gz"]._replace(names=(name,)) for name in publication.files]


def _download(url: str, md5: str, file: IO[bytes], limit: int) -> None:
    """Write the archive at `url` to a file and compare its checksum.

    Raises:
        Refused: It cannot be had there, or is another one.
        OSError: The file cannot be written.
    """
    _transfer(url, file, ZIP_LIMIT if url.endswith(".zip") else limit)
    file.seek(0)
    digest = hashlib.file_digest(file, _md5)  # type: ignore[arg-type]
    if digest.hexdigest() != md5:
        name = url.rsplit("/", 1)[-1]
        raise Refused(f"sent {file.tell():,} bytes that are not {name} (md5)")


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _transfer(url: str, file: IO[bytes], limit: int) -> None:
    """Write the body at `url` to a file.

    Raises:
        Refused: No answer, a broken connection, under 1 kB/s for `PATIENCE` seconds, or more than
            `limit` bytes.
        OSError: The file cannot be written.
    """
    transfer = _Transfer(url, file, limit)
    name = url.rsplit("/", 1)[-1]
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        transfer.start()
        marked, marked_at = 0, time.monotonic()
        while transfer.is_alive():
            transfer.join(0.1)
            bar.total = transfer.total
            bar.update(transfer.received - bar.n)
            if time.monotonic() - marked_at > PATIENCE:
                if transfer.received - marked < 1000 * PATIENCE:
                    transfer.given_up.set()
                    raise Refused(f"under 1 kB/s for {PATIENCE:.0f} s")
                marked, marked_at = transfer.received, time.monotonic()
    if transfer.failure:
        raise transfer.failure


class _Transfer(threading.Thread):
    """A download in a thread, since no socket's timeout covers name resolution or a slow drip."""

    def __init__(self, url: str, file: IO[bytes], limit: int) -> None:
        super().__init__(daemon=True)
        self.given_up = threading.Event()
        self.received = 0
        self.total: int | None = None
        self.failure: Exception | None = None
        self._url = url
        self._file = file
        self._limit = limit

    def run(self) -> None:
        try:
            self._copy()
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            self.failure = Refused(str(error))
        except urllib.error.URLError as error:
            self.failure = Refused(str(error.reason))
        except (OSError, http.client.HTTPException, ValueError, Refused) as error:
            self.failure = Refused(str(error))

    def _copy(self) -> None:
        request = urllib.request.Request(self._url, headers={"User-Agent": "mnist-lit"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            self.total = int(response.headers.get("Content-Length") or 0) or None
            while not self.given_up.is_set() and (chunk := response.read1(1 << 16)):
                self.received += len(chunk)
                if self.received > self._limit:
                    raise Refused(f"sent more than {self._limit:,} bytes")
                try:
                    self._file.write(chunk)
                except OSError as error:  # the disk's fault, not the address's
                    self.failure = error
                    return


def _extract(
    file: IO[bytes], url: str, name: str, owner: Publication, raw: Path, *, needed: bool
) -> None:
    """Write a data file out of an archive, and record its checksum where none is published.

    Raises:
        Refused: The archive is broken, or lacks that file although it is needed.
        OSError: The file cannot be written.
    """
    file.seek(0)
    try:
        with contextlib.ExitStack() as stack:
            if url.endswith(".zip"):
                archive = stack.enter_context(zipfile.ZipFile(file))
                if not needed and f"gzip/{name}.gz" not in archive.namelist():
                    return
                file = stack.enter_context(archive.open(f"gzip/{name}.gz"))
            content = stack.enter_context(gzip.open(file)).read(owner.size(name) + 1)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, KeyError) as error:
        raise Refused(f"sent a broken archive ({error})") from error
    if len(content) > owner.size(name):
        raise Refused(f"sent an archive in which {name} is too long")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != owner.sha256.get(name, sha256):
        raise Refused(f"sent an archive that does not hold {name} (sha256)")
    if name not in owner.sha256:
        lines = [f"{own}  {other}\n" for other, own in (recorded(raw) | {name: sha256}).items()]
        with atomic_write(raw / SUMS) as target:
            target.write("".join(lines).encode())
    with atomic_write(raw / name) as target:
        target.write(content)
