"""The splits, the sample that stands in for MNIST, and the batches."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST

import small_data
from helpers import parts
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.datamodule import ImageDataset, MNISTDataModule
from mnist_lit.data.published import Published, Unavailable
from mnist_lit.errors import Argument, InputError, RunError


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
    with pytest.raises(InputError) as caught:
        data.setup("fit")
    assert caught.value.subject == Argument("val_split", 0.99999)


@pytest.mark.parametrize(
    "name, value",
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("val_split", 1.5),
        ("val_split", 1.0),
        ("val_split", -0.1),
        ("rotation", -1),
        ("rotation", 180),
        ("shift", 1),
        ("scale", 1),
        ("elastic", 1),
        ("thickness", 1),
        ("image_size", 7),
        ("image_size", 257),
        ("image_size", 28.0),
        ("image_size", True),
    ],
)
def test_value_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        MNISTDataModule(**{name: value})  # type: ignore[arg-type]
    assert caught.value.subject == Argument(name, value)


@pytest.mark.parametrize(
    "name", ["val_split", "rotation", "shift", "scale", "elastic", "thickness"]
)
def test_not_a_number(name: str) -> None:
    with pytest.raises(InputError) as caught:
        MNISTDataModule(**{name: float("nan")})  # type: ignore[arg-type]
    assert isinstance(caught.value.subject, Argument) and caught.value.subject.name == name


def test_folder_of_data_is_read_from_the_environment_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MNISTDataModule(source="sample").data_dir == "data"
    monkeypatch.setenv("MNIST_LIT_DATA_DIR", "elsewhere")
    assert MNISTDataModule(source="sample").data_dir == "elsewhere"
    assert MNISTDataModule(source="sample", data_dir="here").data_dir == "here"


def test_batches_of_another_size() -> None:
    small_data.write_folder(Path("mine"), small_data.digits(60, 2), ["a", "b"])
    data = MNISTDataModule("mine", image_size=64)
    data.prepare_data()
    data.setup("fit")
    assert data.image_size == 64
    for loader in (data.train_dataloader(), data.test_dataloader()):
        batch, _ = next(iter(loader))
        assert batch.shape[1:] == (1, 64, 64) and batch.dtype == torch.uint8


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
def test_sample_stands_in_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    assert data.name == "mnist-sample-5k"
    assert sizes(data) == {"train": 3000, "val": 1000, "test": 1000}
    (message,) = caplog.messages
    assert "mnist-sample-5k" in message.split("\n")[0]
    assert "\nReason: MNIST is not in data/MNIST/raw; " in message
    assert "Connection refused" in message
    data.prepare_data()  # each of Lightning's steps calls it; one warning is enough
    assert len(caplog.messages) == 1


@pytest.mark.usefixtures("no_mirror")
def test_name_does_not_change_during_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    # Another run downloads the files meanwhile.
    monkeypatch.setattr(Published, "is_complete", lambda self: True)
    assert data.name == "mnist-sample-5k"


@pytest.mark.usefixtures("no_mirror")
def test_full_source_never_takes_the_sample(caplog: pytest.LogCaptureFixture) -> None:
    data = MNISTDataModule(source="full", data_dir="elsewhere")
    with pytest.raises(Unavailable) as caught:
        data.prepare_data()
    assert "is not in elsewhere/MNIST/raw" in str(caught.value.problem)
    assert "Connection refused" in str(caught.value.problem)
    assert "Connection refused" in caught.value.reason
    put, *rest = parts(caught.value.remedy)
    assert all(name in str(put) for name in CATALOGUE["mnist"].files) and "doctor" in str(put)
    assert Argument("data_dir") in rest and Argument("source", "sample") in rest
    assert not caplog.messages


@pytest.mark.usefixtures("no_mirror")
@pytest.mark.parametrize("source", ["auto", "full"])
def test_damaged_file_is_no_reason_for_the_sample(source: str) -> None:
    path = Path("data/MNIST/raw/t10k-labels-idx1-ubyte")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"short")
    data = MNISTDataModule(source=source)  # type: ignore[arg-type]
    with pytest.raises(RunError) as caught:
        data.prepare_data()
    assert caught.value.subject == path
    assert str(caught.value.problem).startswith("has 5 bytes instead of 10,008 and could not be")


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
