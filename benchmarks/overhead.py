"""How much longer than a bare PyTorch loop of the same arithmetic does `fit` take?

python benchmarks/overhead.py [--data_dir DIR] [--batch_size 32 128] [--pairs 5]

Each pair trains one epoch of 60,000 images twice: with `fit` (progress bar, metrics, TensorBoard,
CSV and checkpoints on, validation off) and with the bare loop, in alternating order. The time is
that of the training, from its first step to the last file: on the clock, and as the processor's
time of all threads. The weights are compared bit for bit.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import lightning.pytorch as pl
import numpy as np
import torch

import bare
from mnist_lit import environment
from mnist_lit.cli.training import CLI
from mnist_lit.data.published import Published

Weights = dict[str, torch.Tensor]


class Seconds(NamedTuple):
    """On the clock, and of the processor."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)


class Clock(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = Seconds.now()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = Seconds.now().since(self.start)


def fit(data_dir: str, batch_size: int) -> tuple[Seconds, Weights]:
    """Train by `fit` in an empty folder; return the seconds and the weights."""
    options = {
        "data.data_dir": data_dir,
        "data.source": "full",
        "data.val_split": 0,
        "data.batch_size": batch_size,
        "trainer.max_epochs": 1,
    }
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        cli = CLI("fit", [f"--{name}={value}" for name, value in options.items()])
        trainer: Any = cli.trainer
        trainer.callbacks.append(clock)
        trainer.fit(cli.model, datamodule=cli.datamodule)
    return clock.seconds, cli.model.network.cpu().state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--batch_size", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    data_dir = str(Path(args.data_dir).resolve())
    environment.quiet()
    environment.prepare()
    images, labels = Published("mnist", data_dir).read("train")
    device = pl.Trainer(logger=False, enable_checkpointing=False).strategy.root_device
    images, labels = images.to(device), labels.to(device)

    def loop(batch_size: int) -> tuple[Seconds, Weights]:
        start = Seconds.now()
        network = bare.train(images, labels, batch_size=batch_size, epochs=1, seed=0)
        weights = network.cpu().state_dict()  # waits for the device
        return Seconds.now().since(start), weights

    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(
        f"{'batch':>6}{'time':>6}{'fit s':>9}{'bare s':>9}{'ratio':>8}{'quartiles':>16}"
        f"{'min':>8}{'max':>8}  weights"
    )
    for batch_size in args.batch_size:
        pairs = []
        for pair in range(-1, args.pairs):  # the first warms up
            if pair % 2:
                ours, its = fit(data_dir, batch_size), loop(batch_size)
            else:
                its, ours = loop(batch_size), fit(data_dir, batch_size)
            equal = all(torch.equal(ours[1][name], its[1][name]) for name in its[1])
            if pair >= 0:
                pairs.append((ours[0], its[0]))
        for clock in Seconds._fields:
            of_fit, of_loop = ([getattr(own[i], clock) for own in pairs] for i in range(2))
            ratios = [a / b for a, b in zip(of_fit, of_loop, strict=True)]
            lower, middle, upper = np.percentile(ratios, (25, 50, 75))
            print(
                f"{batch_size:>6}{clock:>6}{statistics.median(of_fit):>9.2f}"
                f"{statistics.median(of_loop):>9.2f}{middle:>8.3f}"
                f"{f'{lower:.3f} to {upper:.3f}':>16}{min(ratios):>8.3f}{max(ratios):>8.3f}"
                f"  {'equal' if equal else 'DIFFER'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
