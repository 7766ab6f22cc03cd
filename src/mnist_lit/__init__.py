"""The MNIST CNN notebook in PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lit.data.datamodule import MNISTDataModule
    from mnist_lit.formats.export import export_checkpoint
    from mnist_lit.formats.import_keras import import_keras
    from mnist_lit.network.network import Network
    from mnist_lit.prediction import predict
    from mnist_lit.training.module import MNISTModule, load_checkpoint
    from mnist_lit.training.recorder import Recorder, saving

__version__ = "0.1.0"
__all__ = [
    "MNISTDataModule",
    "MNISTModule",
    "Network",
    "Recorder",
    "export_checkpoint",
    "import_keras",
    "load_checkpoint",
    "predict",
    "saving",
]

_HOMES = {
    "MNISTDataModule": "mnist_lit.data.datamodule",
    "MNISTModule": "mnist_lit.training.module",
    "Network": "mnist_lit.network.network",
    "Recorder": "mnist_lit.training.recorder",
    "export_checkpoint": "mnist_lit.formats.export",
    "import_keras": "mnist_lit.formats.import_keras",
    "load_checkpoint": "mnist_lit.training.module",
    "predict": "mnist_lit.prediction",
    "saving": "mnist_lit.training.recorder",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line's --help must not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
