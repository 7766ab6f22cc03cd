"""What is set once for a process: the libraries' voices, the allocator, denormal numbers."""

import contextlib
import ctypes
import logging
import os
import sys
import warnings

import torch

from mnist_lit import cores

# What libraries warn of in a healthy run, and why it may stay unsaid.
HARMLESS = (
    # Lightning 2.6 uses a PyTorch class that PyTorch 2.15 renames.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # Lightning 2.6 calls a jsonargparse method that has since been renamed.
    r"\s*(By default only one Jsonargparse|``instantiate_classes`` was deprecated)",
    # Workers slow down batches that are one indexing of memory.
    r".*does not have many workers",
    # Its figure counts batches for a logger's sake; metrics here are logged once an epoch.
    r"The number of training batches .* is smaller than the logging interval",
    # A resumed run goes on in its own folder.
    r"Checkpoint directory .* exists and is not empty",
    # With val_split 0 there is nothing to validate on.
    r"Total length of `list` across ranks is zero",
    # The data module's samplers count every image once however many devices there are.
    r"Using `DistributedSampler` with the dataloaders",
)


def quiet() -> None:
    """Silence what libraries say in a healthy run; what they warn of otherwise stays."""
    # Progress, hardware, tips and advertisements, logged as information.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)


def prepare() -> None:
    """Set what makes a CPU step fast and changes no result."""
    if "OMP_NUM_THREADS" not in os.environ:  # a container's quota may be less than its cores
        torch.set_num_threads(min(torch.get_num_threads(), cores.available()))
    # After many epochs saturated sigmoids give numbers so small that CPUs compute them slowly.
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        # glibc hands each step's freed activations back to the system, and the next step faults
        # them in again, which can cost a quarter of it. Other C libraries lack mallopt or its
        # effect.
        with contextlib.suppress(AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its largest
            mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
            mallopt(-2, 64 << 20)  # M_TOP_PAD
