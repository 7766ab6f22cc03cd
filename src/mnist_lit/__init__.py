"""The MNIST CNN notebook in PyTorch Lightning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lit.data.datamodule import MNISTDataModule as MNISTDataModule
    from mnist_lit.formats.export import export_checkpoint as export_checkpoint
    from mnist_lit.formats.import_keras import import_keras as import_keras
    from mnist_lit.network.network import Network as Network
    from mnist_lit.prediction import predict as predict
    from mnist_lit.training.module import MNISTModule as MNISTModule
    from mnist_lit.training.module import load_checkpoint as load_checkpoint
    from mnist_lit.training.recorder import Recorder as Recorder
    from mnist_lit.training.saving import saving as saving

__version__ = "0.1.0"

_HOMES = {
    "MNISTDataModule": "mnist_lit.data.datamodule",
    "MNISTModule": "mnist_lit.training.module",
    "Network": "mnist_lit.network.network",
    "Recorder": "mnist_lit.training.recorder",
    "export_checkpoint": "mnist_lit.formats.export",
    "import_keras": "mnist_lit.formats.import_keras",
    "load_checkpoint": "mnist_lit.training.module",
    "predict": "mnist_lit.prediction",
    "saving": "mnist_lit.training.saving",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line's --help must not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*_HOMES, "__version__"]
