"""How long does it take to reach the notebook's accuracy?

python benchmarks/time_to_accuracy.py [--keras_python PATH] [--data_dir DIR] [--seeds 10]
    [OPTIONS OF FIT]

`fit --config configs/fast.yaml` for each seed, in a process of its own: the seconds from its start
to its last checkpoint, imports and data included, and the test accuracy of that checkpoint, the
last epoch's. With `--keras_python` also the notebook's 50 epochs on Keras, as 50 times the mean of
the second and third of three epochs.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from peers import Peer
from processes import run

CONFIG = Path(__file__).parent.parent / "configs" / "fast.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras_python")
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--seeds", type=int, default=10)
    args, options = parser.parse_known_args()
    data_dir = Path(args.data_dir).resolve()
    seconds, accuracies = [], []
    print(f"{'seed':>6}{'seconds':>9}{'accuracy':>10}")
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            fit = ("-m", "mnist_lit", "fit", "--config", CONFIG, "--data.data_dir", data_dir)
            start = time.time()
            run(*fit, "--seed_everything", seed, *options, folder=folder)
            left = Path(folder, "runs/mnist/version_0")
            seconds.append((left / "checkpoints/last.ckpt").stat().st_mtime - start)
            summary = json.loads((left / "summary.json").read_text())
        accuracies.append(summary["last"]["test_accuracy"])
        print(f"{seed:>6}{seconds[-1]:>9.1f}{accuracies[-1]:>10.4f}", flush=True)
    ours = statistics.mean(seconds)
    print(
        f"{'mean':>6}{ours:>9.1f}{statistics.mean(accuracies):>10.4f}"
        f" ± {statistics.stdev(accuracies):.4f}"
    )
    if args.keras_python:
        keras = Peer("keras_notebook", args.keras_python, str(data_dir), 3)
        epochs = [keras.epoch() for _ in range(3)][1:]
        keras.answer()
        theirs = 50 * statistics.mean(epochs)
        print(f"Keras: 50 × {statistics.mean(epochs):.2f} s = {theirs:.0f} s, {theirs / ours:.1f}×")


if __name__ == "__main__":
    main()
