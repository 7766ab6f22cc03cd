"""`import-keras`: the notebook's model from a Keras file, as a checkpoint."""

import importlib.metadata
from pathlib import Path

from mnist_lit import checkpoints
from mnist_lit.arguments import ArgumentParser
from mnist_lit.errors import InputError
from mnist_lit.export import keras
from mnist_lit.module import MNISTModule


def import_keras(path: str | Path, output: str | Path) -> None:
    """Turn a Keras file of the notebook's network into a checkpoint.

    The checkpoint stands at epoch 0 with a fresh optimiser, so that `fit --ckpt_path` trains on
    from its weights. Its data set is taken to be MNIST; its classes are named by their numbers.

    Args:
        path: A `.h5`, `.weights.h5` or `.keras` file of Keras 2 or 3.
        output: The checkpoint to write.

    Raises:
        InputError: The file is damaged or of another network; the message names the layer.
    """
    content = keras.read(path)
    module = MNISTModule(len(content.weights["dense2.bias"]), dropout=content.dropout)
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
    checkpoints.write(Path(output), checkpoint)


def command(args: list[str]) -> int:
    parser = ArgumentParser("import-keras", "Turn a Keras file into a checkpoint.")
    parser.add_argument("file", metavar="FILE", help="a .h5, .weights.h5 or .keras file")
    parser.add_argument("--output", required=True, metavar="FILE.ckpt", help="where to write it")
    options = parser.parse_args(args)
    output = Path(options.output)
    if output.suffix != ".ckpt" or output.is_dir() or output.is_symlink():
        raise InputError(
            f"--output {options.output!r} must be a file of its own that ends in .ckpt"
        )
    import_keras(options.file, output)
    print(f"{options.file} -> {output}")
    print(f"next  python -m mnist_lit test --ckpt_path {output}")
    return 0
