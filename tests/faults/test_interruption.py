"""Killed, interrupted, out of room: what was finished is kept, and nothing half-written stands."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import SHORT, Command
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.runs import metrics
from mnist_lit.runs.run import Run

RUN = Path("runs/mnist/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
FIT = (sys.executable, "-m", "mnist_lit", "fit")


def start(*args: object, **options: Any) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*map(str, args)], text=True, **pipes | options)


def no_partial_files() -> None:
    for path in Path("runs").rglob("*.ckpt"):
        checkpoints.read(path)


WRITER = """
import sys, time
from pathlib import Path
from mnist_lit.files import atomic_write
with atomic_write(Path("last.ckpt")) as file:
    file.write(b"new" * 100_000)
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""


def test_killed_while_a_file_is_written() -> None:
    Path("last.ckpt").write_bytes(b"old")
    with start(sys.executable, "-c", WRITER) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert Path("last.ckpt").read_bytes() == b"old"


@pytest.mark.slow
def test_ten_kills_at_random_moments_end_as_an_undisturbed_run(command: Command) -> None:
    options = (*SHORT, "--trainer.max_epochs", 12)
    command("fit", *options, "--name", "undisturbed")
    moment = random.Random(0)
    kills = 0
    args: tuple[object, ...] = (*options, "--name", "killed")
    run = Path("runs/killed/version_0")
    while kills < 10 and not (run / "summary.json").exists():
        with start(*FIT, *args) as process:
            waited = time.monotonic()
            # Imports take seconds; the interesting moments come once the run's folder is there.
            while not (run / "config.yaml").exists() and time.monotonic() - waited < 60:
                time.sleep(0.05)
            time.sleep(moment.uniform(0.0, 8.0))
            process.kill()
        kills += process.returncode == -signal.SIGKILL
        no_partial_files()
        args = ("--ckpt_path", "last")
        time.sleep(1)
    answer = command("fit", "--ckpt_path", "last")
    assert (answer.code, answer.err) == (0, "")
    weights = [
        checkpoints.read(f"runs/{name}/version_0/checkpoints/last.ckpt").weights
        for name in ("undisturbed", "killed")
    ]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    figures = [
        json.loads(Path(f"runs/{name}/version_0/summary.json").read_text())["last"]
        for name in ("undisturbed", "killed")
    ]
    assert figures[0] == figures[1]


def test_two_interrupts_end_at_once() -> None:
    with start(*FIT, *SHORT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch  1/50"):
                break
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        process.communicate()
    assert process.returncode == 130 and time.monotonic() - started < 20
    no_partial_files()


def test_damaged_last_checkpoint_names_a_whole_one(command: Command) -> None:
    command("fit", *SHORT, "--trainer.max_epochs", 6)
    LAST.write_bytes(LAST.read_bytes()[:-1000])
    for args in (("fit", "--ckpt_path", "last"), ("test", "--ckpt_path", "last")):
        answer = command(*args)
        assert answer.code == 2 and f"{LAST} is not a whole checkpoint" in answer.err
        whole = Path(answer.err.split("the newest whole one is ")[1].strip())
        assert checkpoints.read(whole).epoch + 1 >= 5
        assert command("test", "--ckpt_path", whole).code == 0


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let no file grow beyond a size, in place of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_the_metrics(trained: Path, small_files: Callable[[int], None]) -> None:
    run = Run(trained)
    before = run.metrics.read_bytes()
    small_files(100)
    with pytest.raises(OSError, match=r"File too large: .runs.mnist.version_0.metrics\.csv"):
        metrics.write(run, metrics.read(run) * 50)
    assert run.metrics.read_bytes() == before
    assert not list(RUN.rglob("*.tmp"))


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("name", ["h5", "keras", "onnx", "pt2", "safetensors"])
def test_no_room_for_an_export(
    command: Command, small_files: Callable[[int], None], name: str
) -> None:
    Path("out").mkdir()
    Path(f"out/mnist.{name}").write_bytes(b"old")
    small_files(50_000)
    answer = command("export", "--format", name, "--output", "out")
    assert answer.code == 1 and answer.err.count("\n") == 1
    assert f"mnist.{name}: File too large" in answer.err
    assert [path.read_bytes() for path in Path("out").iterdir()] == [b"old"]


def test_no_room_for_a_figure(command: Command, small_files: Callable[[int], None]) -> None:
    command("fit", *SHORT, "--trainer.max_epochs", 1, "--name", "drawn")
    run = Path("runs/drawn/version_0")
    before = (run / "report.html").read_bytes()
    small_files(40_000)
    answer = command("report")
    assert answer.code == 1 and answer.err.count("\n") == 1
    assert ".png: File too large" in answer.err
    assert (run / "report.html").read_bytes() == before and not list(run.rglob("*.tmp"))


def test_checkpoint_folder_that_cannot_be_written(command: Command) -> None:
    """Said before an epoch is trained."""
    command("fit", *SHORT, "--trainer.max_epochs", 1)
    (RUN / "checkpoints").chmod(0o555)
    args: tuple[str, ...] = (*FIT, "--ckpt_path", "last", "--trainer.max_epochs", "3")
    if os.geteuid() == 0:  # whom no permission stops, but for this
        args = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", *args)
    with start(*args) as process:
        out, error = process.communicate(timeout=120)
    (RUN / "checkpoints").chmod(0o755)
    assert process.returncode == 1 and "epoch 2/3" not in out
    assert error.startswith(f"error: {RUN}/checkpoints/.probe: Permission denied: make room or")
    assert error.count("\n") == 1
