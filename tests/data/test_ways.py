"""Published files, folders and arrays are three ways to the same images and the same result."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import small_data
from helpers import SHORT, Command
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.published import Published

pytestmark = pytest.mark.undrawn


def weights(run: str) -> dict[str, Tensor]:
    path = Path("runs") / run / "version_0" / "checkpoints" / "last.ckpt"
    return checkpoints.read(path).weights


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_same_weights_by_every_way(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    small_data.shrink(monkeypatch)
    own = CATALOGUE["kmnist"]
    train, test = small_data.digits(100, 10), small_data.digits(50, 10, skip=100)
    small_data.write_idx(own, Path("data"), train, test)
    small_data.write_npz(Path("array.npz"), train, test)
    names = [str(digit) for digit in range(10)]
    for part, (images, labels) in (
        ("train", (train[0][:80], train[1][:80])),
        ("val", (train[0][80:], train[1][80:])),
        ("test", test),
    ):
        small_data.write_folder(Path("folder") / part, (images, labels), names)
    options = ("--trainer.max_epochs", 2, *SHORT[2:], "--data.batch_size", 8)
    out = {}
    for way in ("kmnist", "array.npz", "folder"):
        answer = command("fit", "--data.dataset", way, *options)
        assert (answer.code, answer.err) == (0, "")
        lines = command("test", "--ckpt_path", "last").out.splitlines()
        out[way] = [line for line in lines if line.split()[0] in ("n", "correct", "loss")]
    assert same(weights("kmnist"), weights("array"))
    assert same(weights("kmnist"), weights("folder"))
    assert out["kmnist"] == out["array.npz"] == out["folder"]


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.timeout(900)
@pytest.mark.parametrize("preprocessing", ["plain", "mnist"])
def test_mnist_in_folders_is_mnist(command: Command, mnist_dir: Path, preprocessing: str) -> None:
    """All 70,000 images as PNG files: the same pixels, and after an epoch the same weights."""
    found = Published("mnist", str(mnist_dir))
    names = [str(digit) for digit in range(10)]
    train, test = ((x[:, 0].numpy(), y.numpy()) for x, y in map(found.read, ("train", "test")))
    for part, bounds, (images, labels) in (
        ("train", slice(48_000), train),
        ("val", slice(48_000, None), train),
        ("test", slice(None), test),
    ):
        small_data.write_folder(Path("digits") / part, (images[bounds], labels[bounds]), names)
    options = ("--trainer.max_epochs", 1)
    folder = ("--data.dataset", "digits", "--data.preprocessing", preprocessing)
    answer = command("fit", *folder, *options)
    assert (answer.code, answer.err) == (0, "")
    assert command("fit", "--data.data_dir", mnist_dir, "--data.source", "full", *options).code == 0
    assert same(weights("digits"), weights("mnist"))
    figures = [
        Path(f"runs/{run}/version_0/metrics.csv").read_text().rsplit(",", 1)[0]
        for run in ("digits", "mnist")
    ]
    assert figures[0] == figures[1]
