"""`fit` is the bare loop of `benchmarks/bare.py`, to the last bit: one path, and a fast one."""

import pytest
import torch

import bare
from helpers import Command
from mnist_lit import load_checkpoint
from mnist_lit.data import sample

pytestmark = pytest.mark.undrawn


@pytest.mark.parametrize("batch_size", [32, 128])
def test_same_weights_as_a_bare_loop(command: Command, batch_size: int) -> None:
    options = {"val_split": 0, "source": "sample", "batch_size": batch_size}
    arguments = [f"--data.{name}={value}" for name, value in options.items()]
    answer = command("fit", *arguments, "--trainer.max_epochs", 2, "--seed_everything", 3)
    assert answer.code == 0
    splits = sample.load()
    images, labels = (torch.cat([splits["train"][i], splits["val"][i]]) for i in (0, 1))
    expected = bare.train(images, labels, batch_size=batch_size, epochs=2, seed=3)
    found = load_checkpoint("runs/mnist/version_0/checkpoints/last.ckpt").network
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
