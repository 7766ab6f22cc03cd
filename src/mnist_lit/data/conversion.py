"""Pictures to square images, on all cores."""

import logging
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
FEW = 200  # pictures that are converted sooner than other processes would have started
# A picture's image, uint8 side×side, or why there is none.
Converted = NDArray[np.uint8] | InputError

log = logging.getLogger("mnist_lit")


def convert(
    sources: Sequence[Path] | NDArray[np.uint8], preprocessing: str, side: int, name: str
) -> Iterator[Converted]:
    """Yield what `pictures.prepare` makes of each picture, in order.

    Args:
        sources: Picture files, or grey pictures N×H×W.
        preprocessing: One of `pictures.PREPROCESSING`.
        side: Of the images.
        name: What the progress bar shows.
    """
    n = len(sources)
    loader: DataLoader[Converted] = DataLoader(
        _Pictures(sources, preprocessing, side),
        BATCH,
        num_workers=0 if n < FEW else _cores(),
        collate_fn=list,
        worker_init_fn=_begin,
    )
    start = time.monotonic()
    with tqdm(total=n, desc=name, unit="picture", disable=None, leave=False) as bar:
        for batch in loader:
            yield from batch
            bar.update(len(batch))
    if n >= FEW:  # a log has no bar
        seconds = time.monotonic() - start
        log.info(f"{n:,} pictures of {printable(name)} converted in {seconds:.0f} s")


class _Pictures(Dataset[Converted]):
    """The images of pictures, each made when it is asked for."""

    def __init__(
        self, sources: Sequence[Path] | NDArray[np.uint8], preprocessing: str, side: int
    ) -> None:
        self.sources = sources
        self.preprocessing = preprocessing
        self.side = side

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Converted:
        source = self.sources[index]
        if not isinstance(source, Path):
            grey = source.astype(np.float32)
            return pictures.prepare(grey, self.preprocessing, self.side).image
        try:
            return pictures.read(source, self.preprocessing, self.side).image
        except InputError as error:
            return error


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
