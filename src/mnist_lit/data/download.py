"""Getting the files of a published data set, safely, from where torchvision finds them."""

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
from collections.abc import Sequence, Set
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm

from mnist_lit.data.publications import PUBLICATIONS, Publication
from mnist_lit.errors import RunError
from mnist_lit.files import atomic_write

# A server that sends under 1 kB/s for this many seconds is given up, be it mute or dripping. Two
# that do not answer at all so cost 16 s.
PATIENCE = 8.0
ZIP_LIMIT = 600_000_000  # bytes; EMNIST's, the only zip, has 561,753,746
SUMS = "SHA256SUMS"


class Refused(Exception):
    """An address does not give what it should; the text says why."""


class Archive(NamedTuple):
    """A download: its addresses, its md5 sum, and the data files in it."""

    urls: tuple[str, ...]
    md5: str
    names: tuple[str, ...]


def recorded(raw: Path) -> dict[str, str]:
    """Return the sha256 sums that were recorded in a folder when its files were extracted."""
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
    siblings = [p for p in PUBLICATIONS.values() if p.torchvision == publication.torchvision]
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
            f"{raw} has {free / 1e6:.0f} MB left and {publication.torchvision} needs "
            f"{need / 1e6:.0f}: make room, or name another folder by --data.data_dir"
        )
    failed: set[str] = set()  # whoever failed is asked last for the files that follow
    for archive, names in parts.items():
        reasons = []
        for url in sorted(archive.urls, key=lambda url: url.rsplit("/", 1)[0] in failed):
            try:
                with tempfile.TemporaryFile(dir=raw) as file:
                    _download(url, archive.md5, file, max(owners[n].size(n) for n in names))
                    for name in names:
                        _extract(file, url, name, owners[name], raw, needed=name in wanted)
            except Refused as error:
                reasons.append(f"{urlsplit(url).netloc}: {error}")
                failed.add(url.rsplit("/", 1)[0])
            else:
                break
        else:
            raise Refused("; ".join(reasons))


def _archives(publication: Publication, shared: Sequence[str]) -> list[Archive]:
    """Return where torchvision finds a data set; `shared` are all files in its folder."""
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
    """Write the archive at `url` to a file and compare its sum.

    Raises:
        Refused: It is not to be had there, or is another.
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
    failure: list[Exception] = []
    given_up = threading.Event()
    received = 0

    def transfer() -> None:
        nonlocal received
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "mnist-lit"})
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                bar.total = int(response.headers.get("Content-Length") or 0) or None
                while not given_up.is_set() and (chunk := response.read1(1 << 16)):
                    received += len(chunk)
                    if received > limit:
                        raise Refused(f"sent more than {limit:,} bytes")
                    try:
                        file.write(chunk)
                    except OSError as error:  # the disk's fault, not the address's
                        failure.append(error)
                        return
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            failure.append(Refused(str(error)))
        except urllib.error.URLError as error:
            failure.append(Refused(str(error.reason)))
        except (OSError, http.client.HTTPException, ValueError, Refused) as error:
            failure.append(Refused(str(error)))

    # A thread, because no timeout of a socket covers name resolution or a server that drips.
    worker = threading.Thread(target=transfer, daemon=True)
    with tqdm(desc=url.rsplit("/", 1)[-1], unit="B", unit_scale=True, disable=None) as bar:
        worker.start()
        marked, marked_at = 0, time.monotonic()
        while worker.is_alive():
            worker.join(0.1)
            bar.update(received - bar.n)
            if time.monotonic() - marked_at > PATIENCE:
                if received - marked < 1000 * PATIENCE:
                    given_up.set()
                    raise Refused(f"under 1 kB/s for {PATIENCE:.0f} s")
                marked, marked_at = received, time.monotonic()
    if failure:
        raise failure[0]


def _extract(
    file: IO[bytes], url: str, name: str, owner: Publication, raw: Path, *, needed: bool
) -> None:
    """Write a data file out of an archive, and record its sum where none is published.

    Raises:
        Refused: The archive is broken, or does not hold that file although it is needed.
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
