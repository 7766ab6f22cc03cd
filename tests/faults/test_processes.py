"""Several processes: the same figures, one writer, no orphans; and the same numbers every time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from helpers import SHORT, Command
from mnist_lit import MNISTDataModule, MNISTModule

DDP = (
    *("--trainer.strategy", "ddp", "--trainer.devices", "2"),
    *("--trainer.accelerator", "cpu"),
)


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mnist_lit", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_two_processes_test_every_image_once(command: Command) -> None:
    command("test", "--output", "one.json")
    done = run("test", *DDP, "--output", "two.json")
    assert (done.returncode, done.stderr) == (0, "")
    one, two = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert two["n"] == 1000 and two["correct"] == one["correct"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one_of_twice_the_batch(command: Command) -> None:
    """Gradients are means over both, so two batches of 16 are one of 32, but for rounding."""
    options = ("--trainer.max_epochs", 2, "--model.dropout", 0, "--data.source", "sample")
    limit = ("--trainer.limit_train_batches", 10)
    done = run("fit", *options, *limit, *DDP, "--data.batch_size", 16, "--name", "two")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in Path("runs/two").iterdir()] == ["version_0"]
    folder = Path("runs/two/version_0")
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert done.stdout.count("epoch 1/2") == 1
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["n_test"] == 1000

    command("fit", *options, *limit, "--data.batch_size", 32, "--name", "one")
    other = Path("runs/one/version_0/metrics.csv").read_text().splitlines()
    for ours, its in zip(rows[1:], other[1:], strict=True):
        two, one = ([float(cell) for cell in line.split(",")[1:5]] for line in (ours, its))
        assert two == pytest.approx(one, abs=0.02)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def trains(pid: int) -> bool:
    return b"mnist_lit" in Path(f"/proc/{pid}/cmdline").read_bytes()


def alive(pid: int) -> bool:
    """Tell whether a process is there and not merely waiting to be noticed as ended."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(") ")[-1][0] not in "ZX"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux")
def test_failed_process_ends_the_run() -> None:
    args = ("fit", "--data.source", "sample", "--trainer.max_epochs", 200, *DDP)
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_lit", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   1/200"):
                break
        (child,) = filter(trains, children(process.pid))
        os.kill(child, signal.SIGKILL)
        started = time.monotonic()
        process.stdout.read()
        process.wait(60)
    assert process.returncode != 0 and time.monotonic() - started < 60
    assert not any(map(alive, (child, process.pid)))


def test_spawned_processes_are_refused_at_once(command: Command) -> None:
    answer = command("fit", *SHORT, "--trainer.strategy", "ddp_spawn")
    assert answer.code == 2 and "use ddp" in answer.err and not Path("runs").exists()


# Of the first 20 steps, seed 0, batch 32, on the embedded sample; recorded from this code with one
# thread. A refactoring that moves them has changed the arithmetic.
GOLDEN = [
    2.500906,
    2.469142,
    2.440982,
    2.403272,
    2.36685,
    2.329537,
    2.300722,
    2.283625,
    2.260946,
    2.243484,
    2.235489,
    2.175484,
    2.147102,
    2.105262,
    2.100278,
    2.076303,
    2.039574,
    1.989333,
    1.93346,
    1.889562,
]


def test_golden_losses() -> None:
    torch.manual_seed(0)
    module = MNISTModule(dropout=0)
    optimizer = module.configure_optimizers()
    data = MNISTDataModule(source="sample")
    data.prepare_data()
    data.setup("fit")
    train = data.splits["train"]
    module._batches["train"] = []
    losses = []
    for chosen in torch.arange(len(train)).view(-1, 150).t()[:20]:  # some of every digit
        loss = module.training_step((train.images[chosen], train.labels[chosen]), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(GOLDEN, rel=1e-4)
