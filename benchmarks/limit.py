"""What is the most that the machine could do, and where does the rest of the time go?

python benchmarks/limit.py [--data_dir DIR] [--batch_size 32 128]

It divides the multiply-adds of an epoch of 60,000 images by the machine's peak for matrix products,
and measures the time of the bare loop. Then it lists the operations that take most of a step.
"""

import argparse
import os
import time

import lightning.pytorch as pl
import torch
from torch.nn import functional
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

import bare
from mnist_lit import Network, environment
from mnist_lit.data.published import Published

SIDE = 2048


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Return the multiply-adds a second of the best of 20 products of two matrices."""
    a, b = (torch.randn(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        float((a @ b)[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - start)
    return SIDE**3 / best


def multiply_adds() -> float:
    """Return those of training on one image: forward, and backward for weights and inputs."""
    with FlopCounterMode(display=False) as counter:
        functional.nll_loss(Network()(torch.zeros(1, 1, 25, 25)), torch.zeros(1).long()).backward()
    return float(counter.get_total_flops()) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--batch_size", type=int, nargs="+", default=[32, 128])
    args = parser.parse_args()
    environment.quiet()
    environment.prepare()
    device = pl.Trainer(logger=False, enable_checkpointing=False).strategy.root_device
    images, labels = (part.to(device) for part in Published("mnist", args.data_dir).read("train"))
    need = multiply_adds() * len(labels)
    print(f"an epoch: {need / 1e9:.0f} thousand million multiply-adds")
    for dtype in (torch.float32, torch.bfloat16):
        rate = peak(dtype, device)
        print(f"peak {dtype}: {rate / 1e9:.0f} thousand million a second, {need / rate:.2f} s")
    for batch_size in args.batch_size:
        bare.train(images[:6400], labels[:6400], batch_size=batch_size, epochs=1, seed=0)
        start = time.perf_counter()
        network = bare.train(images, labels, batch_size=batch_size, epochs=1, seed=0)
        float(next(network.parameters()).detach().sum())  # waits for the device
        print(f"bare loop, batch {batch_size}: {time.perf_counter() - start:.2f} s")
        with profile() as profiler:
            bare.train(images[:6400], labels[:6400], batch_size=batch_size, epochs=1, seed=0)
        rows = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
        total = sum(row.self_cpu_time_total for row in rows)
        for row in rows[:10]:
            print(f"  {row.self_cpu_time_total / total:>6.1%}  {row.key}")


if __name__ == "__main__":
    main()
