"""The yardstick: the notebook's training as a bare PyTorch loop, with the project's arithmetic.

The loop only trains: no metrics, no progress bar, no files. The step is the fastest that we found:
each batch is one indexing of bytes in memory, and it uses channels-last, the 25×25 crop and fused
Adam.

python benchmarks/bare.py DATA_DIR SUMMARY

As a program it trains for two epochs on 48,000 images, validates twice and tests, and writes the
seconds of training into the file SUMMARY, as a run does.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mnist_lit import Network


def train(images: Tensor, labels: Tensor, *, batch_size: int, epochs: int, seed: int) -> Network:
    """Train a new network on uint8 images N×1×28×28 and int64 labels N; return it.

    Seeds are drawn as the project draws them, so that the weights come out bitwise equal.
    """
    device = images.device
    torch.manual_seed(seed)
    network = Network().to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-7, fused=True)
    order_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    for epoch in range(epochs):
        order = torch.randperm(
            len(labels), generator=torch.Generator().manual_seed(order_seed + epoch)
        ).to(device)
        dropout_seed = np.random.SeedSequence([seed, epoch, 0]).generate_state(1, np.uint64)
        torch.manual_seed(int(dropout_seed[0]))
        for chosen in order.split(batch_size):
            batch = images[chosen][..., :25, :25]
            batch = batch.to(torch.float32, memory_format=torch.channels_last).div_(255)
            loss = functional.nll_loss(network(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return the unpacked images and labels of `train` or `t10k`."""
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)[16:]
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)[8:]
    return torch.from_numpy(images).reshape(-1, 1, 28, 28), torch.from_numpy(labels).long()


def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    with torch.inference_mode():
        found = [network(part / 255).argmax(1) for part in images.split(500)]
    return float((torch.cat(found) == labels).double().mean())


def main(data_dir: str, summary: str) -> None:
    folder = Path(data_dir, "MNIST", "raw")
    images, labels = read(folder, "train")
    n = len(labels) * 4 // 5
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first loads torch._dynamo
    start = time.perf_counter()
    network = train(images[:n], labels[:n], batch_size=32, epochs=2, seed=0).eval()
    seconds = time.perf_counter() - start
    for _ in range(2):
        print(accuracy(network, images[n:], labels[n:]))
    print(accuracy(network, *read(folder, "t10k")))
    Path(summary).parent.mkdir(parents=True, exist_ok=True)
    Path(summary).write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
