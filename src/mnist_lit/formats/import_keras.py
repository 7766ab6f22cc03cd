"""`import-keras`: the notebook's model from a Keras file, as a checkpoint."""

import importlib.metadata
from pathlib import Path

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli.plain import ArgumentParser
from mnist_lit.data import datasets
from mnist_lit.errors import InputError
from mnist_lit.formats.keras import files as keras
from mnist_lit.training.module import MNISTModule


def import_keras(path: str | Path, output: str | Path, *, dataset: str | None = None) -> None:
    """Turn a Keras file of the notebook's network into a checkpoint.

    The checkpoint stands at epoch 0 with a fresh optimiser, so that `fit --ckpt_path` trains on
    from its weights.

    Args:
        path: A `.h5`, `.weights.h5` or `.keras` file of Keras 2 or 3.
        output: The checkpoint to write.
        dataset: What the network was trained on, as in `MNISTDataModule`; a Keras file does not
            say. Default: MNIST, or where there are not ten classes an unknown one, whose classes
            are called by their numbers.

    Raises:
        InputError: The file is damaged or of another network, and the message names the layer; or
            the data set has other classes.
    """
    content = keras.read(path)
    n = len(content.weights["dense2.bias"])
    if dataset is None:
        module = MNISTModule(n, dataset="mnist" if n == 10 else "unknown", dropout=content.dropout)
    else:
        found = datasets.find(dataset)
        if len(found.class_names) != n:
            raise InputError(
                f"{path} has {n} classes and {dataset} has {len(found.class_names)}: name the data "
                "that it was trained on by --data.dataset"
            )
        module = MNISTModule(
            n, found.class_names, found.name, found.preprocessing, dropout=content.dropout
        )
    module.network.load_state_dict(content.weights)
    optimizer = module.configure_optimizers()
    checkpoint = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": importlib.metadata.version("lightning"),
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "callbacks": {},
    }
    if dataset is not None:
        checkpoint["config"] = {"data": {"dataset": dataset}}
    checkpoints.write(Path(output), checkpoint)


def command(args: list[str]) -> int:
    parser = ArgumentParser("import-keras", "Turn a Keras file into a checkpoint.")
    parser.add_argument("file", metavar="FILE", help="a .h5, .weights.h5 or .keras file")
    parser.add_argument("--output", required=True, metavar="FILE.ckpt", help="where to write it")
    parser.add_argument(
        "--data.dataset", dest="dataset", help="what it was trained on (default: mnist)"
    )
    options = parser.parse_args(args)
    output = Path(options.output)
    if output.suffix != ".ckpt" or output.is_dir() or output.is_symlink():
        raise InputError(
            f"--output {options.output!r} must be a file of its own that ends in .ckpt"
        )
    import_keras(options.file, output, dataset=options.dataset)
    print(f"{options.file} -> {output}")
    dataset = checkpoints.read(output)["hyper_parameters"]["dataset"]
    if options.dataset is None:
        print(
            f"taken to be of {dataset} data: --data.dataset says otherwise, and names its classes"
        )
    where = " --data.dataset DATA" if dataset == "unknown" else ""
    print(f"next  python -m mnist_lit test --ckpt_path {output}{where}")
    return 0
