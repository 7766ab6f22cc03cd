"""How long does it take to start, and how much memory does `fit` need?

python benchmarks/startup.py [--data_dir DIR] [--pairs 5]

With `PYTHONPATH=OTHER/src` it measures another checkout.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from PIL import Image

from processes import Cost, run

# A bare loop's start: the first optimiser loads torch._dynamo.
ADAM = "import torch; torch.optim.Adam([torch.zeros(1, requires_grad=True)])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    data_dir = Path(args.data_dir).resolve()
    fit = ("-m", "mnist_lit", "fit", "--data.data_dir", data_dir)
    bare = Path(__file__).with_name("bare.py").resolve()
    commands: dict[str, tuple[object, ...]] = {
        "python -c pass": ("-c", "pass"),
        "python -c 'import torch'": ("-c", "import torch"),
        "  and make an Adam": ("-c", ADAM),
        "python -c 'import lightning'": ("-c", "import lightning.pytorch"),
        "mnist-lit --help": ("-m", "mnist_lit", "--help"),
        "mnist-lit fit --help": ("-m", "mnist_lit", "fit", "--help"),
        "mnist-lit predict, 1 picture": ("-m", "mnist_lit", "predict", "digit.png"),
        "mnist-lit fit, 1 step": (*fit, "--trainer.fast_dev_run", "1"),
        "mnist-lit fit, 2 epochs": (*fit, "--trainer.max_epochs", "2"),
        "bare PyTorch, 2 epochs": (bare, data_dir, "runs/bare/version_0/summary.json"),
    }
    costs = defaultdict[str, list[Cost]](list)
    for pair in range(-1, args.pairs):  # the first warms up
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as folder:
                digit = Image.new("L", (200, 200), "white")
                digit.paste("black", (90, 40, 110, 160))  # a 1
                digit.save(Path(folder, "digit.png"))
                measured = {name: run(*command, folder=folder)}
                for summary in Path(folder).glob("runs/*/*/summary.json"):
                    seconds, megabytes = measured[name]
                    training = json.loads(summary.read_text())["seconds"]
                    beside = f"{name.split(',')[0]}, beside training"
                    measured[beside] = Cost(seconds - training, megabytes)
            if pair >= 0:
                for each, cost in measured.items():
                    costs[each].append(cost)
    print(f"{'':<32}{'seconds':>9}{'min':>8}{'max':>8}{'peak MB':>10}")
    for name, found in costs.items():
        times = [cost.seconds for cost in found]
        print(
            f"{name:<32}{statistics.median(times):>9.2f}{min(times):>8.2f}{max(times):>8.2f}"
            f"{statistics.median(cost.megabytes for cost in found):>10.0f}"
        )


if __name__ == "__main__":
    main()
