"""How much longer than a bare PyTorch loop of the same arithmetic does `fit` take?

python benchmarks/overhead.py [--data_dir DIR] [--batch_size 32 128] [--pairs 5]

Each pair trains one epoch of 60,000 images twice: with `fit` (progress bar, metrics, TensorBoard,
CSV and checkpoints on, validation off) and with the bare loop, in alternating order. The time is
that of the training, from its first step to the last file. The weights are compared bit for bit.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

import bare
from mnist_lit import environment
from mnist_lit.cli.training import CLI
from mnist_lit.data.published import Published


class Clock(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self.start


def fit(data_dir: str, batch_size: int) -> tuple[float, dict[str, torch.Tensor]]:
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

    def loop(batch_size: int) -> tuple[float, dict[str, torch.Tensor]]:
        start = time.perf_counter()
        network = bare.train(images, labels, batch_size=batch_size, epochs=1, seed=0)
        weights = network.cpu().state_dict()  # waits for the device
        return time.perf_counter() - start, weights

    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'batch':>6}{'fit s':>9}{'bare s':>9}{'ratio':>8}{'min':>8}{'max':>8}  weights")
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
        ratios = [a / b for a, b in pairs]
        medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
        print(
            f"{batch_size:>6}{medians[0]:>9.2f}{medians[1]:>9.2f}{statistics.median(ratios):>8.3f}"
            f"{min(ratios):>8.3f}{max(ratios):>8.3f}  {'equal' if equal else 'DIFFER'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
