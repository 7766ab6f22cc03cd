"""How do time and memory grow with the size of the batch and of the data?

python benchmarks/growth.py [--data_dir DIR]

Each row is a `fit` of two epochs in a process of its own. The time is that of the second epoch's
training, the memory the largest of the process. Time should grow linearly with the images, without
a jump.
"""

import argparse
import csv
import os
import tempfile
from pathlib import Path

from processes import run


def fit(data_dir: Path, batch_size: int, images: int) -> tuple[float, float]:
    """Return the seconds of an epoch and the megabytes."""
    options = {
        "data.data_dir": data_dir,
        "data.val_split": 0,
        "data.batch_size": batch_size,
        "trainer.max_epochs": 2,
        "trainer.limit_train_batches": max(images // batch_size, 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--{name}={value}" for name, value in options.items()]
        cost = run("-m", "mnist_lit", "fit", *arguments, folder=folder)
        with Path(folder, "runs/mnist/version_0/metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    return float(rows[1]["seconds"]), cost.megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    data_dir = Path(parser.parse_args().data_dir).resolve()
    print(f"{'batch':>6}{'images':>8}{'s/epoch':>9}{'µs/image':>10}{'peak MB':>9}")
    cases = [(32 << power, 60_000) for power in range(8)]
    cases += [(128, images) for images in (1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000)]
    for batch_size, images in cases:
        seconds, megabytes = fit(data_dir, batch_size, images)
        trained = max(images // batch_size, 1) * batch_size
        print(
            f"{batch_size:>6}{trained:>8}{seconds:>9.2f}{seconds / trained * 1e6:>10.0f}"
            f"{megabytes:>9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
