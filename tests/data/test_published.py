"""Published data sets beside MNIST: torchvision reads the same files to the same images."""

import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

import small_data
from helpers import SHORT, Command
from helpers import parts as parts_of
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.published import Published, Unavailable
from mnist_lit.errors import Argument, InputError, RunError

OTHERS = [name for name in CATALOGUE if name != "mnist"]
EMNIST = [name for name in CATALOGUE if name.startswith("emnist")]


def parts(name: str) -> tuple[small_data.Part, small_data.Part]:
    n = len(CATALOGUE[name].class_names)
    return small_data.digits(100, n), small_data.digits(50, n, skip=100)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_data.shrink(monkeypatch)


class Server(ThreadingHTTPServer):
    """Serves archives by their names, and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.archives: dict[str, bytes] = {}
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.requests.append(name)
        if name not in self.server.archives:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.archives[name])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Stand in for every address that torchvision knows."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        files: dict[str, dict[str, bytes]] = {}
        for name in OTHERS:
            own = CATALOGUE[name]
            files.setdefault(own.torchvision, {}).update(small_data.idx(own, *parts(name)))
        emnist = io.BytesIO()
        with zipfile.ZipFile(emnist, "w") as archive:
            for name, content in files.pop("EMNIST").items():
                archive.writestr(f"gzip/{name}.gz", gzip.compress(content))
            archive.writestr("gzip/emnist-byclass-train-labels-idx1-ubyte.gz", b"not wanted")
        server.archives["gzip.zip"] = emnist.getvalue()
        monkeypatch.setattr(torchvision.datasets.EMNIST, "url", f"{address}/gzip.zip")
        md5 = hashlib.md5(emnist.getvalue()).hexdigest()
        monkeypatch.setattr(torchvision.datasets.EMNIST, "md5", md5)
        for folder, contents in files.items():
            archives = {f"{name}.gz": gzip.compress(raw) for name, raw in contents.items()}
            server.archives |= {f"{folder}/{name}": raw for name, raw in archives.items()}
            sums = {name: hashlib.md5(archive).hexdigest() for name, archive in archives.items()}
            own_class = getattr(torchvision.datasets, folder)
            if folder == "QMNIST":
                resources: Any = {
                    part: [(f"{address}/QMNIST/{n}", sums[n]) for n in sums if f"-{part}-" in n]
                    for part in ("train", "test")
                }
            else:
                resources = list(sums.items())
            monkeypatch.setattr(own_class, "resources", resources)
            monkeypatch.setattr(own_class, "mirrors", [f"{address}/{folder}/"])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def torchvisions(name: str, *, train: bool) -> Any:
    own = CATALOGUE[name].torchvision
    options = {"split": name.removeprefix("emnist-")} if own == "EMNIST" else {}
    return getattr(torchvision.datasets, own)("data", train=train, **options)


@pytest.mark.parametrize("name", OTHERS)
def test_torchvision_reads_the_same_images(name: str) -> None:
    own = CATALOGUE[name]
    small_data.write_idx(own, Path("data"), *parts(name))
    found = Published(name, "data")
    found.prepare()
    for part in ("train", "test"):
        images, labels = found.read(part)
        theirs = torchvisions(name, train=part == "train")
        data = theirs.data.swapaxes(1, 2) if own.torchvision == "EMNIST" else theirs.data
        targets = theirs.targets[:, 0] if own.torchvision == "QMNIST" else theirs.targets
        assert np.array_equal(images[:, 0], data)
        assert labels.tolist() == [int(label) - (name == "emnist-letters") for label in targets]
    # And they are the digits that were written, upright.
    assert np.array_equal(found.read("test")[0][:, 0], parts(name)[1][0])


def test_class_names() -> None:
    names = {name: own.class_names for name, own in CATALOGUE.items()}
    assert names["fashion"] == torchvision.datasets.FashionMNIST.classes
    assert [len(n) for n in names["kmnist"]] == [1] * 10
    emnist = torchvision.datasets.EMNIST.classes_split_dict
    assert names["emnist-balanced"] == emnist["balanced"]
    assert [n.lower() for n in names["emnist-letters"]] == emnist["letters"][1:]
    assert names["qmnist"] == names["emnist-digits"] == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("name", OTHERS)
def test_download(server: Server, name: str) -> None:
    Published(name, "data").prepare()
    own = CATALOGUE[name]
    raw = Path("data") / own.torchvision / "raw"
    for file, content in small_data.idx(own, *parts(name)).items():
        assert (raw / file).read_bytes() == content
    # In the format of sha256sum.
    for line in (raw / "SHA256SUMS").read_text().splitlines():
        sha256, _, file = line.partition("  ")
        assert hashlib.sha256((raw / file).read_bytes()).hexdigest() == sha256
    hidden = {path.name for path in raw.iterdir()} - {".download.lock", "SHA256SUMS"}
    siblings = [p for p in CATALOGUE.values() if p.torchvision == own.torchvision]
    assert hidden == {file for sibling in siblings for file in sibling.files}


def test_one_download_for_all_of_emnist(server: Server) -> None:
    for name in EMNIST:
        Published(name, "data").prepare()
    assert server.requests == ["gzip.zip"]


@pytest.mark.parametrize("name", ["fashion", "qmnist", "emnist-letters"])
def test_flipped_bit_is_seen_by_the_recorded_sum(server: Server, name: str) -> None:
    found = Published(name, "data")
    found.ensure()
    path = found.raw / list(found.publication.files)[2]
    right = path.read_bytes()
    path.write_bytes(right[:2000] + bytes([right[2000] ^ 1]) + right[2001:])
    assert found.problems() == {path.name: "differs from the published file (sha256)"}
    server.requests.clear()
    found.ensure()
    assert path.read_bytes() == right and len(server.requests) == 1


def test_zip_that_lacks_a_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("gzip/else.gz", gzip.compress(b"x"))
    server.archives["gzip.zip"] = content.getvalue()
    md5 = hashlib.md5(content.getvalue()).hexdigest()
    monkeypatch.setattr(torchvision.datasets.EMNIST, "md5", md5)
    with pytest.raises(Unavailable, match="sent a broken archive"):
        Published("emnist-letters", "data").ensure()


@pytest.mark.parametrize(
    "at, change, problem",
    [
        (0, lambda c: b"\0\0\x08\x01" + c[4:], "is not a whole IDX file of its kind"),
        (0, lambda c: c[:11] + b"\x20" + c[12:], "is not a whole IDX file of its kind"),  # 32×28
        (0, lambda c: c[:-784], "is not a whole IDX file of its kind"),
        (0, lambda c: c[:-1], "is not a whole IDX file of its kind"),
        (0, lambda c: b"", "is not a whole IDX file of its kind"),
        (1, lambda c: c[:-1] + b"\0", "has labels beyond its 26 classes"),  # they begin with 1
        (1, lambda c: c[:-1] + b"\x1b", "has labels beyond its 26 classes"),
        (1, lambda c: c[:7] + b"\x63" + c[8:-1], "has 99 labels for the 100 images of emnist-"),
    ],
)
def test_files_put_there_by_hand(at: int, change: Any, problem: str) -> None:
    own = CATALOGUE["emnist-letters"]
    small_data.write_idx(own, Path("data"), *parts("emnist-letters"))
    found = Published("emnist-letters", "data")
    assert found.problems() == {}
    path = found.raw / list(own.files)[at]
    path.write_bytes(change(path.read_bytes()))
    (said,) = found.problems().items()
    assert said[0] == path.name and said[1].startswith(problem)


def test_fewer_images_than_were_published(caplog: pytest.LogCaptureFixture) -> None:
    """Part of a data set serves a lesson, but its metrics aren't those of the whole."""
    own = CATALOGUE["kmnist"]
    small_data.write_idx(own, Path("data"), *parts("kmnist"))
    files = {name: 10 * n for name, n in own.files.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CATALOGUE, "kmnist", own._replace(files=files))
        found = Published("kmnist", "data")
        found.prepare()
        assert len(found.load(0)["train"][1]) == 100
    assert len(caplog.messages) == 2
    assert "holds 100 images, not the 1,000 that were published" in caplog.messages[0]


def test_nothing_stands_in_for_another_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [])
    with pytest.raises(Unavailable) as caught:
        Published("fashion", "data").prepare()
    assert caught.value.subject == "FashionMNIST"
    assert "is not in data/FashionMNIST/raw" in str(caught.value.problem)
    assert not any("sample" in str(part) for part in parts_of(caught.value.remedy))


@pytest.mark.parametrize("parent", ["letters", "letters/train", "letters/training"])
def test_folders_of_pictures_are_not_where_files_are_kept(parent: str) -> None:
    small_data.write_folder(Path(parent), small_data.digits(4, 2), ["A", "B"])
    with pytest.raises(InputError) as caught:
        Published("mnist", "letters").prepare()
    assert caught.value.subject == Argument("data_dir", "letters")
    assert caught.value.remedy == ("to train on them give it as", Argument("dataset", "letters"))
    assert not Path("letters/MNIST").exists()


def test_data_sets_may_lie_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [])
    small_data.write_folder(Path("data"), small_data.digits(4, 2), ["mine", "yours"])
    for name in ("mine", "yours"):
        Path("data", name, "labels.csv").touch()
    found = Published("mnist", "data")
    found.prepare()
    assert found.name == "mnist-sample-5k"


def test_damage_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [])
    small_data.write_idx(CATALOGUE["kmnist"], Path("data"), *parts("kmnist"))
    path = Path("data/KMNIST/raw/t10k-labels-idx1-ubyte")
    path.write_bytes(b"x")
    with pytest.raises(RunError) as caught:
        Published("kmnist", "data").prepare()
    assert not isinstance(caught.value, Unavailable)
    assert caught.value.subject == path
    assert str(caught.value.problem).startswith("is not a whole IDX file of its kind and could not")


@pytest.mark.parametrize("name", OTHERS)
def test_a_run(command: Command, name: str) -> None:
    """Each trains, is tested, and says what it knows, by its own name and classes."""
    own = CATALOGUE[name]
    small_data.write_idx(own, Path("data"), *parts(name))
    fit = command("fit", "--data.dataset", name, *SHORT[2:], "--trainer.max_epochs", 1)
    assert (fit.code, fit.err) == (0, "")
    assert Path(f"runs/{name}/version_0/summary.json").is_file()
    test = command("test")
    assert test.code == 0 and f"dataset     {name}" in test.out and "n           50" in test.out
    shown = command("predict", "--test-image", 3)
    label = own.class_names[parts(name)[1][1][3]]
    assert f"labelled {label}" in shown.out


def test_a_network_meets_another_data_set_of_the_same_classes(command: Command) -> None:
    for name in ("qmnist", "emnist-digits", "fashion"):
        small_data.write_idx(CATALOGUE[name], Path("data"), *parts(name))
    fit = ("fit", "--data.dataset", "qmnist", *SHORT[2:], "--trainer.max_epochs", 1)
    assert command(*fit).code == 0
    answer = command("test", "--data.dataset", "emnist-digits")
    assert answer.code == 0 and "dataset     emnist-digits" in answer.out
    answer = command("test", "--data.dataset", "fashion")
    assert answer.code == 2 and "T-shirt/top" in answer.err and "--data.dataset" in answer.err
