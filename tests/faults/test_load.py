"""Many runs, pictures, epochs: nothing is lost, nothing grows."""

import csv
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image

from helpers import SHORT
from mnist_lit import MNISTDataModule, MNISTModule, Recorder, environment, saving
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.datamodule import ImageDataset

pytestmark = pytest.mark.slow


def test_five_runs_at_once() -> None:
    args = [sys.executable, "-m", "mnist_lit", "fit", *SHORT, "--trainer.max_epochs", "2"]
    runs = [
        subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(5)
    ]
    for run in runs:
        _, error = run.communicate(timeout=250)
        assert (run.returncode, error) == (0, b"")
    folders = sorted(Path("runs/mnist").iterdir())
    assert [folder.name for folder in folders] == [f"version_{i}" for i in range(5)]
    weights = [checkpoints.read(f / "checkpoints" / "last.ckpt").weights for f in folders]
    for folder, other in zip(folders, weights, strict=True):
        assert (folder / "summary.json").is_file() and (folder / "report.html").is_file()
        with (folder / "metrics.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 2
        assert all(torch.equal(value, other[name]) for name, value in weights[0].items())


def test_ten_thousand_pictures_in_bounded_memory() -> None:
    page = Image.new("L", (160, 160), "white")
    page.paste("black", (72, 30, 88, 130))
    page.save("digit.png")
    Path("many").mkdir()
    for i in range(10_000):
        os.link("digit.png", f"many/{i:05d}.png")
    code = (
        "import resource, sys; from mnist_lit.cli import main;"
        "code = main(['predict', sys.argv[1], '--output', sys.argv[2]]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    peaks = []
    for what, output in (("many/00000.png", "one.csv"), ("many", "all.csv")):
        done = subprocess.run(
            [sys.executable, "-c", code, what, output],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
        )
        peaks.append(int(done.stderr))
    assert len(Path("all.csv").read_text().splitlines()) == 10_001
    assert peaks[1] - peaks[0] < 200_000  # kB; all of them at once would be 1 GB


class Watch(pl.Callback):
    """Notes memory, open files and threads at the end of each epoch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * resource.getpagesize() // 1024
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self.seen.append((memory, files, threading.active_count()))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux")
def test_two_hundred_epochs_grow_nothing() -> None:
    environment.quiet()
    environment.prepare()
    data = MNISTDataModule(source="sample")
    data.setup("fit")
    data.splits = {
        name: ImageDataset(split.images[:200], split.labels[:200])
        for name, split in data.splits.items()
    }
    module = MNISTModule()
    watch = Watch()
    recorder = Recorder(Path("runs"), "long", {"data": {}, "model": {}})
    options: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    }
    trainer = pl.Trainer(max_epochs=200, callbacks=[watch, recorder, *saving(recorder)], **options)
    trainer.fit(module, datamodule=data)
    assert len(watch.seen) == 200
    memory, files, threads = (list(values) for values in zip(*watch.seen, strict=True))
    assert memory[-1] - memory[49] < 20_000  # kB
    assert files[-1] == files[49] and threads[-1] == threads[49]
