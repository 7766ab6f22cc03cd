"""Checkpoints that are damaged, foreign or hostile; and writing them whole or not at all."""

import io
import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import InputError
from mnist_lit.training.module import MNISTModule, load_checkpoint
from mnist_lit.training.saving import SafeCheckpointIO

PATH = Path("some.ckpt")


def images(n: int = 4) -> Tensor:
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def trained(module: pl.LightningModule, num_classes: int) -> bytes:
    """Train for an epoch of one batch; return the checkpoint that Lightning itself writes."""
    environment.quiet()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    labels = torch.arange(4) % num_classes
    batches = DataLoader(TensorDataset(images().mul(255).byte(), labels), batch_size=4)
    trainer.fit(module, batches, [])
    trainer.save_checkpoint(PATH)
    return PATH.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("good"))
        return trained(MNISTModule(), 10)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def loaded(content: bytes) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return checkpoint


def refusal(path: str | Path = PATH, read: Callable[..., Any] = checkpoints.read) -> str:
    """Return the message by which a checkpoint is refused: one line that names the file."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message


def test_lightnings_own_checkpoint_is_plain(good: bytes) -> None:
    checkpoint = loaded(good)  # only plain values and tensors are let through
    hyper_parameters = checkpoint["hyper_parameters"]
    assert type(hyper_parameters) is dict
    plain = {bool, int, float, str, list, dict}
    assert {type(value) for value in hyper_parameters.values()} <= plain


def test_reads(good: bytes) -> None:
    PATH.write_bytes(good)
    checkpoint = checkpoints.read(PATH)
    assert checkpoint.epoch == loaded(good)["epoch"]
    assert checkpoint.hyper_parameters == dict(MNISTModule().hparams)
    for name, value in loaded(good)["state_dict"].items():
        assert torch.equal(checkpoint.weights[name.removeprefix("network.")], value)


def test_missing_file() -> None:
    assert "is not there" in refusal()


def test_folder() -> None:
    PATH.mkdir()
    assert "is a folder" in refusal()


@pytest.mark.parametrize(
    "address", ["https://example.org/some.ckpt", "s3://bucket/some.ckpt", "file:///some.ckpt"]
)
def test_address(address: str) -> None:
    assert "is an address: download it" in refusal(address)


@pytest.mark.parametrize("content", [b"", b"\x00garbage\xff" * 1000], ids=["empty", "garbage"])
def test_no_archive(content: bytes) -> None:
    PATH.write_bytes(content)
    assert "is not a whole checkpoint" in refusal()


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(good: bytes, part: float) -> None:
    PATH.write_bytes(good[: int(part * len(good))])
    assert "is not a whole checkpoint" in refusal()


def test_last_byte_missing(good: bytes) -> None:
    PATH.write_bytes(good[:-1])
    assert "is not a whole checkpoint" in refusal()


def test_flipped_bit_in_the_weights(good: bytes) -> None:
    weights = loaded(good)["state_dict"]["network.conv3.weight"]
    raw = weights.permute(0, 2, 3, 1).numpy().tobytes()  # in the order in which they lie
    at = good.index(raw) + len(raw) // 2
    content = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    PATH.write_bytes(content)
    # PyTorch alone does not see it.
    assert not torch.equal(loaded(content)["state_dict"]["network.conv3.weight"], weights)
    assert "is not a whole checkpoint" in refusal()


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary",)


@pytest.mark.parametrize("place", [None, "state_dict", "hyper_parameters", "epoch", "anything"])
def test_hostile_pickle_is_not_run(good: bytes, place: str | None) -> None:
    content = saved({**loaded(good), place: Hostile()} if place else Hostile())
    torch.load(io.BytesIO(content), weights_only=False)
    Path("canary").rmdir()  # it would have worked
    PATH.write_bytes(content)
    assert "is not a whole checkpoint" in refusal()
    assert not Path("canary").exists()


def test_archive_of_something_else() -> None:
    with zipfile.ZipFile(PATH, "w") as archive:
        archive.writestr("letter.txt", "Dear all")
    assert "is not a whole checkpoint" in refusal()


@pytest.mark.parametrize("missing", ["state_dict", "hyper_parameters", "epoch"])
def test_incomplete_checkpoint(good: bytes, missing: str) -> None:
    checkpoint = loaded(good)
    del checkpoint[missing]
    PATH.write_bytes(saved(checkpoint))
    assert "is not a checkpoint of mnist-lit" in refusal()


@pytest.mark.parametrize("missing", ["dataset", "class_names"])
def test_checkpoint_that_does_not_describe_itself(good: bytes, missing: str) -> None:
    checkpoint = loaded(good)
    del checkpoint["hyper_parameters"][missing]
    PATH.write_bytes(saved(checkpoint))
    assert "is not a checkpoint of mnist-lit" in refusal()


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"hyper_parameters": None, "state_dict": {}, "epoch": 0}],
    ids=["list", "no-dictionary"],
)
def test_something_else(content: Any) -> None:
    PATH.write_bytes(saved(content))
    assert "is not a checkpoint of mnist-lit" in refusal()


class Other(pl.LightningModule):
    """Another project's network."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(784, width)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.layer(images.flatten(1).float())
        return torch.nn.functional.cross_entropy(logits, labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        raise AssertionError

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_checkpoint_of_another_project() -> None:
    trained(Other(), 10)
    assert "is not a checkpoint of mnist-lit" in refusal()


@pytest.mark.parametrize(
    "part, value, words",
    [
        ("hyper_parameters", {"num_classes": 3}, "3 classes are named"),
        (
            "hyper_parameters",
            {"num_classes": 2, "class_names": ["no", "yes"]},
            "size mismatch for dense2",
        ),
        ("hyper_parameters", {"class_names": 10}, "int"),
        ("state_dict", {3: torch.ones(1)}, "no names"),
        ("hyper_parameters", {"lr": "fast"}, "str"),
        ("hyper_parameters", {"preprocessing": "x"}, "no preprocessing 'x'"),
        ("hyper_parameters", {"dropout": 1.0}, "dropout"),
        ("state_dict", {"network.conv4.weight": torch.ones(1)}, "conv4.weight"),
        ("state_dict", {"network.conv1.weight": torch.ones(1)}, "conv1.wei"),
        # 300 MB, which only the file's own weights may ask for.
        (
            "hyper_parameters",
            {"large": True, "network": ["Flatten", {"Linear": 100_000}, "Linear"]},
            "make more than 50,000,000 in all",
        ),
    ],
)
def test_checkpoint_of_another_network(
    good: bytes, part: str, value: dict[str, Any], words: str
) -> None:
    checkpoint = loaded(good)
    checkpoint[part].update(value)
    PATH.write_bytes(saved(checkpoint))
    message = refusal(read=load_checkpoint)
    assert "doesn't fit this version of mnist-lit (" in message
    assert words in message


def test_network_of_an_unknown_preprocessing(good: bytes) -> None:
    checkpoint = loaded(good)
    checkpoint["hyper_parameters"]["preprocessing"] = "x"
    PATH.write_bytes(saved(checkpoint))
    assert "there is no preprocessing 'x'" in refusal()


def test_loading_refuses_what_reading_refuses() -> None:
    assert "is not there" in refusal(read=load_checkpoint)
    assert "is not there" in refusal(read=SafeCheckpointIO().load_checkpoint)


@torch.no_grad()
@pytest.mark.parametrize("num_classes", [2, 10, 26])
def test_loaded_module_answers_as_the_saved_one(num_classes: int) -> None:
    module = MNISTModule(num_classes, class_names="abcdefghijklmnopqrstuvwxyz"[:num_classes])
    with torch.enable_grad():
        trained(module, num_classes)
    again = load_checkpoint(str(PATH))
    assert not any(part.training for part in again.modules())
    assert torch.equal(again(images()), module.eval()(images()))
    assert dict(again.hparams) == dict(module.hparams)


def test_saves_what_it_reads(good: bytes) -> None:
    plugin = SafeCheckpointIO()
    plugin.save_checkpoint(loaded(good), "a/b/some.ckpt")
    again = plugin.load_checkpoint("a/b/some.ckpt")
    assert again.keys() == loaded(good).keys()
    for name, value in loaded(good)["state_dict"].items():
        assert torch.equal(again["state_dict"][name], value)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 100 kB, in place of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("old", [None, b"old"])
def test_saving_where_there_is_no_room(good: bytes, old: bytes | None) -> None:
    path = Path("checkpoints/last.ckpt")
    before = {}
    if old is not None:
        path.parent.mkdir()
        path.write_bytes(old)
        before = {"last.ckpt": old}
    with pytest.raises(OSError, match=r"File too large: .checkpoints/last\.ckpt."):
        SafeCheckpointIO().save_checkpoint(loaded(good), path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_saving_that_cannot_be_pickled() -> None:
    PATH.write_bytes(b"old")
    with pytest.raises(Exception, match="pickle"):
        SafeCheckpointIO().save_checkpoint(
            {"weights": torch.ones(1000), "what": lambda: None}, PATH
        )
    assert {file.name: file.read_bytes() for file in Path().iterdir()} == {PATH.name: b"old"}
