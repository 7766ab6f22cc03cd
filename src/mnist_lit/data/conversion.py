"""Picture files to 28×28, on all cores."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mnist_lit.errors import InputError, printable
from mnist_lit.pictures import preprocessing as pictures

BATCH = 32
FEW = 200  # pictures that are converted before other processes would have started
# A picture as uint8 28×28 and nothing, or nothing and what is wrong with its file.
Converted = tuple[NDArray[np.uint8] | None, str]


def convert(paths: Sequence[Path], preprocessing: str, name: str) -> Iterator[Converted]:
    """Yield pictures in their order, as `pictures.read` makes them; `name` is the bar's."""
    loader: DataLoader[Converted] = DataLoader(
        _Pictures(paths, preprocessing),
        BATCH,
        num_workers=0 if len(paths) < FEW else _cores(),
        collate_fn=list,
        worker_init_fn=_begin,
    )
    start = time.monotonic()
    with tqdm(total=len(paths), desc=name, unit="picture", disable=None) as bar:
        for batch in loader:
            yield from batch
            bar.update(len(batch))
    if len(paths) >= FEW:  # a log has no bar
        seconds = time.monotonic() - start
        print(f"{len(paths):,} pictures of {printable(name)} converted in {seconds:.0f} s")


class _Pictures(Dataset[Converted]):
    """Picture files as 28×28, or what is wrong with them."""

    def __init__(self, paths: Sequence[Path], preprocessing: str) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Converted:
        try:
            return pictures.read(self.paths[index], self.preprocessing).image, ""
        except InputError as error:
            return None, str(error).removeprefix(f"{self.paths[index]} ")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # those that this process may use
    return os.cpu_count() or 1


def _begin(worker: int) -> None:
    # There is a process for each core already; more threads made it four times slower.
    threadpool_limits(1)
    # Ctrl-C goes to every process of the terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
