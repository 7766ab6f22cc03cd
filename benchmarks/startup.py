"""How long does it take to start, and how much memory does `fit` need?

python benchmarks/startup.py [--data_dir DIR] [--pairs 5] [--before OTHER/src]

All commands run in turns, with `--before` those of another checkout beside ours. The last column
is a share of the time that importing Lightning takes in the same turn: the median.
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
LIGHTNING = "python -c 'import lightning.pytorch'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--before", type=Path)
    args = parser.parse_args()
    costs = defaultdict[str, list[Cost]](list)
    for pair in range(-1, args.pairs):  # the first warms up
        for name, command in commands(Path(args.data_dir).resolve()).items():
            found = measured(name, command)
            if args.before and command[0] == "-m":
                found |= measured(f"before: {name}", command, args.before)
            if pair >= 0:
                for each, cost in found.items():
                    costs[each].append(cost)
    print(f"{'':<44}{'seconds':>9}{'min':>8}{'max':>8}{'peak MB':>10}{'share':>8}")
    for name, found_costs in costs.items():
        times = [cost.seconds for cost in found_costs]
        shares = [own / peer.seconds for own, peer in zip(times, costs[LIGHTNING], strict=True)]
        print(
            f"{name:<44}{statistics.median(times):>9.2f}{min(times):>8.2f}{max(times):>8.2f}"
            f"{statistics.median(cost.megabytes for cost in found_costs):>10.0f}"
            f"{statistics.median(shares):>8.3f}"
        )


def commands(data_dir: Path) -> dict[str, tuple[object, ...]]:
    """Return what follows `python`, by what is printed."""
    fit = ("-m", "mnist_lit", "fit", "--data.data_dir", data_dir)
    bare = Path(__file__).with_name("bare.py").resolve()
    return {
        "python -c pass": ("-c", "pass"),
        "python -c 'import torch'": ("-c", "import torch"),
        "  and make an Adam": ("-c", ADAM),
        LIGHTNING: ("-c", "import lightning.pytorch"),
        "mnist-lit --help": ("-m", "mnist_lit", "--help"),
        "mnist-lit fit --help": ("-m", "mnist_lit", "fit", "--help"),
        "mnist-lit predict, 1 picture": ("-m", "mnist_lit", "predict", "digit.png"),
        "mnist-lit fit, 1 step": (*fit, "--trainer.fast_dev_run", "1"),
        "mnist-lit fit, 2 epochs": (*fit, "--trainer.max_epochs", "2"),
        "bare PyTorch, 2 epochs": (bare, data_dir, "runs/bare/version_0/summary.json"),
    }


def measured(name: str, command: tuple[object, ...], source: Path | None = None) -> dict[str, Cost]:
    """Run a command in a folder of its own; return its cost, and that beside training if any."""
    with tempfile.TemporaryDirectory() as folder:
        digit = Image.new("L", (200, 200), "white")
        digit.paste("black", (90, 40, 110, 160))  # a 1
        digit.save(Path(folder, "digit.png"))
        found = {name: run(*command, folder=folder, source=source)}
        for summary in Path(folder).glob("runs/*/*/summary.json"):
            seconds, megabytes = found[name]
            training = json.loads(summary.read_text())["seconds"]
            found[f"{name.split(',')[0]}, beside training"] = Cost(seconds - training, megabytes)
    return found


if __name__ == "__main__":
    main()
