"""A Keras model as a checkpoint."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import datasets
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.errors import Argument, InputError
from mnist_lit.formats.keras import model as keras
from mnist_lit.formats.keras.model import Model
from mnist_lit.network.architecture import Value
from mnist_lit.training.module import MNISTModule


class Imported(NamedTuple):
    """What `import_keras` took.

    Args:
        model: The model: its network, what became of each Keras layer (`rows`), its image
            size and the range of pixels that it was trained on.
        dataset: The data set that the checkpoint names; `unknown` where nothing says it.
        class_names: A name for each class.
        output: The checkpoint.
    """

    model: Model
    dataset: str
    class_names: list[str]
    output: Path


def import_keras(
    path: str | Path,
    output: str | Path,
    *,
    dataset: str | None = None,
    network: Value | None = None,
    input_range: tuple[float, float] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Imported:
    """Turn a Keras file, of any plain chain of layers, into a checkpoint.

    The checkpoint stands at epoch 0 with a fresh optimiser, so that `fit` trains on from its
    weights. docs/keras.md lists the layers that come over.

    Args:
        path: A `.h5`, `.weights.h5` or `.keras` file of Keras 2 or 3.
        output: The checkpoint to write.
        dataset: What the network was trained on, as in `MNISTDataModule`; a Keras file does not
            say. Default: MNIST where there are ten classes of 28×28 images, otherwise an unknown
            one, whose classes are called by their numbers.
        network: For a file of weights alone, which does not describe its layers: the network, as
            in `MNISTModule`. Default: `notebook`.
        input_range: The values that the network was trained on for the darkest and the brightest
            pixel: `(0, 255)` for bytes, `(1, 0)` for dark ink on light ground. Default: 0 to 1, or
            0 to 255 where the model itself begins with a Rescaling of bytes.
        data: Further arguments of `MNISTDataModule`, such as `data_dir` and `preprocessing`.

    Raises:
        InputError: The file is damaged or can't be taken, and the message names every layer that
            stands in the way; or the data set has other classes or images.
    """
    model = keras.read(path, network=network, input_range=input_range)
    classes, size = model.num_classes, model.image_size
    values: dict[str, Any] = {
        "dataset": "mnist" if (classes, size) == (10, 28) else datasets.UNKNOWN
    }
    data = {} if data is None else dict(data)
    if dataset is not None:
        values = _described(path, dataset, model, data)
    elif "preprocessing" in data:
        values["preprocessing"] = data["preprocessing"]
    module = MNISTModule(classes, image_size=size, network=model.network.plain(), **values)
    module.network.load_state_dict(model.weights)
    content = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": importlib.metadata.version("lightning"),
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "optimizer_states": [module.configure_optimizers().state_dict()],
        "lr_schedulers": [],
        "callbacks": {},
    }
    if dataset is not None:
        data = {"dataset": dataset} | data
        if dataset not in CATALOGUE:
            data["image_size"] = size
        content["config"] = {"data": data}
    checkpoints.write(Path(output), content)
    return Imported(model, values["dataset"], module.hparams["class_names"], Path(output))


def _described(
    path: str | Path, dataset: str, model: Model, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a data set says of itself, having seen that it suits the model."""
    found = datasets.find(dataset, **data)
    if found.image_size != model.image_size and dataset not in CATALOGUE:
        found = datasets.find(dataset, **(dict(data) | {"image_size": model.image_size}))
    remedy = ("name the data that it was trained on by", Argument("dataset"))
    if len(found.class_names) != model.num_classes:
        raise InputError(
            path,
            f"has {model.num_classes} classes and {dataset} has {len(found.class_names)}",
            remedy,
        )
    if found.image_size != model.image_size:
        sides = [f"{side}×{side}" for side in (model.image_size, found.image_size)]
        raise InputError(path, f"takes images of {sides[0]} and {dataset} has {sides[1]}", remedy)
    return {
        "class_names": found.class_names,
        "dataset": found.name,
        "preprocessing": found.preprocessing,
    }
