"""How much longer does an epoch take beside processes that keep cores busy?

python benchmarks/busy.py [--data_dir DIR] [--busy 0 1 2] [--rounds 3] [--batches 400]

Each round trains a part of an epoch alone, and beside so many busy processes, with this project's
spinning (GOMP_SPINCOUNT=1000) and with GNU OpenMP's own (300000), in turn. The seconds are those of
the training alone, as the run's metrics have them.
"""

import argparse
import csv
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SPINNING = {"ours": "1000", "GNU OpenMP's": "300000"}


def keep_busy() -> None:
    while True:
        pass


def seconds(data_dir: str, batches: int, spin: str) -> float:
    """Train in an empty folder; return the seconds of the training."""
    options = {
        "data.data_dir": str(Path(data_dir).resolve()),
        "data.source": "full",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": batches,
        "trainer.limit_val_batches": 1,
    }
    command = [sys.executable, "-m", "mnist_lit", "fit"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"GOMP_SPINCOUNT": spin}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        with (Path(folder) / "runs/mnist/version_0/metrics.csv").open(newline="") as file:
            return float(next(csv.DictReader(file))["seconds"])


def beside(busy: int, data_dir: str, batches: int, spin: str) -> float:
    others = [multiprocessing.Process(target=keep_busy, daemon=True) for _ in range(busy)]
    for process in others:
        process.start()
    try:
        return seconds(data_dir, batches, spin)
    finally:
        for process in others:
            process.terminate()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default="data", help="the folder with MNIST")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="busy processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=400, help="of 32 images")
    args = parser.parse_args()
    cases = [(busy, name) for busy in args.busy for name in SPINNING]
    found: dict[tuple[int, str], list[float]] = {case: [] for case in cases}
    for _ in range(args.rounds):
        for busy, name in cases:
            spin = SPINNING[name]
            found[busy, name].append(beside(busy, args.data_dir, args.batches, spin))
    alone = statistics.median(found[0, "ours"]) if 0 in args.busy else None
    print(f"{args.batches} batches of 32, {os.cpu_count()} cores, median (min to max)")
    print(f"{'busy':>5}{'spinning':>15}{'seconds':>9}{'':^18}{'times alone':>12}")
    for (busy, name), values in found.items():
        middle = statistics.median(values)
        spread = f"({min(values):.1f} to {max(values):.1f})"
        ratio = f"{middle / alone:.2f}" if alone else "-"
        print(f"{busy:>5}{name:>15}{middle:>9.1f}{spread:^18}{ratio:>12}")


if __name__ == "__main__":
    main()
