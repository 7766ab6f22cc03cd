"""Starting a new training from a checkpoint's weights."""

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import Argument, InputError
from mnist_lit.training.module import MNISTModule


def start_from(module: MNISTModule, path: str) -> list[str]:
    """Take over the weights of layers that have the same name and shape.

    Where the classes differ the last layer with weights is newly initialised, even if there are as
    many.

    Returns:
        The names of the layers with weights that are newly initialised.

    Raises:
        InputError: The file isn't a checkpoint, or no layer of it fits.
    """
    checkpoint = checkpoints.read(path)
    fresh, given = module.network.state_dict(), checkpoint.weights
    by_layer: dict[str, list[str]] = {}
    for name in fresh:
        by_layer.setdefault(name.rpartition(".")[0], []).append(name)
    anew = [
        layer
        for layer, names in by_layer.items()
        if any(name not in given or given[name].shape != fresh[name].shape for name in names)
    ]
    last = list(by_layer)[-1]
    if checkpoint.class_names != module.hparams["class_names"] and last not in anew:
        anew.append(last)
    if len(anew) == len(by_layer):
        raise InputError(
            path,
            "has no layer of the same name and shape as the network",
            ("name its own network by", Argument("network"), "or train without its weights"),
        )
    taken = {
        name: given[name] for layer in by_layer if layer not in anew for name in by_layer[layer]
    }
    module.network.load_state_dict(fresh | taken)
    return anew


def seen_images(checkpoint: Checkpoint, data: MNISTDataModule) -> str | None:
    """Return a warning where the run's metrics will be of images that the weights have seen."""
    path, trained_on = checkpoint.path, checkpoint.dataset
    if data.name == sample.NAME and sample.was_trained_on(trained_on):
        return (
            f"{path} was trained on {trained_on}, which holds the sample's images: "
            "its metrics on validation and test images do not count"
        )
    if datasets.has_changed(data.dataset, checkpoint):
        return changed(data.name, checkpoint)
    if data.name == trained_on:
        val_split = checkpoint.config.get("data", {}).get("val_split")
        if val_split is None and data.val_split:
            return (
                f"{path} may have been trained on the validation images: metrics on them do not "
                "count then"
            )
        if val_split is not None and val_split < data.val_split:
            return (
                f"{path} was trained with val_split {val_split}: "
                "metrics on validation images that it has seen do not count"
            )
    return None


def changed(name: str, checkpoint: Checkpoint) -> str:
    """Return the warning for a data set that isn't what the checkpoint was trained on."""
    return (
        f"{name} has changed since {checkpoint.path} was trained on it: test pictures may be "
        "among those trained on"
    )
