"""The MNIST CNN notebook in PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lit.checkpoints import load_checkpoint
    from mnist_lit.data.datamodule import MNISTDataModule
    from mnist_lit.module import MNISTModule
    from mnist_lit.network import Network

__version__ = "0.1.0"
__all__ = ["MNISTDataModule", "MNISTModule", "Network", "load_checkpoint"]

_HOMES = {
    "MNISTDataModule": "mnist_lit.data.datamodule",
    "MNISTModule": "mnist_lit.module",
    "Network": "mnist_lit.network",
    "load_checkpoint": "mnist_lit.checkpoints",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line's --help must not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
