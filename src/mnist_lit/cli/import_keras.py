"""`import-keras`: a Keras model as a checkpoint."""

import shlex
from typing import Any

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.cli import options
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets, sample
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError, printable
from mnist_lit.evaluation import Answers
from mnist_lit.formats.import_keras import Imported, import_keras
from mnist_lit.network.inference import log_probabilities

LOW = 0.5  # an accuracy below this has a cause that the file does not show


def command(args: list[str]) -> int:
    """Write the checkpoint; print what was taken, and the accuracy where images are at hand."""
    environment.quiet()
    parser = _parser()
    given = parser.parse_args(args)
    if not given.output:
        raise InputError("--output", "is missing", "name the checkpoint to write, FILE.ckpt")
    output = options.output_file(given.output, (".ckpt",))
    data = parser.given_data(args)
    network = given.model.network
    low, high = given.input_range
    imported = import_keras(
        given.file,
        output,
        dataset=data.get("dataset"),
        data_dir=data.get("data_dir"),
        network=network,
        input_range=(low, high),
    )
    print(printable(f"{given.file} -> {output}"))
    _print_layers(imported)
    checkpoint = checkpoints.read(output)
    _print_accuracy(checkpoint, data, (low, high))
    if "dataset" not in data:
        print(
            printable(
                f"taken to be of {checkpoint.dataset} data: --data.dataset says otherwise, "
                "and names its classes"
            )
        )
    where = " --data.dataset DATA" if checkpoint.dataset == "unknown" else ""
    print(
        printable(f"next  python -m mnist_lit test --ckpt_path {shlex.quote(str(output))}{where}")
    )
    return 0


def _parser() -> Parser:
    parser = Parser.of("import-keras")
    parser.add_argument(
        "file", type=str, metavar="FILE", help="a .h5, .hdf5, .weights.h5 or .keras file"
    )
    parser.add_argument("--output", type=str, metavar="FILE", help="the .ckpt file to write")
    parser.add_argument(
        "--input_range",
        nargs=2,
        type=float,
        default=[0.0, 1.0],
        metavar=("LOW", "HIGH"),
        help="the values of black and white pixels that the model was trained on",
    )
    parser.add_argument(
        "--model.network",
        type=str | list | dict | None,
        help="the network of a .weights.h5 file, which holds no layers (default: notebook)",
    )
    parser.add_data()
    return parser


def _print_layers(imported: Imported) -> None:
    """Print the file's layers beside those of the network."""


def _print_accuracy(
    checkpoint: Checkpoint, data: dict[str, Any], input_range: tuple[float, float]
) -> None:
    """Print the accuracy on test images that are at hand, and what may be wrong with a low one."""
    found = _test_answers(checkpoint, data)
    if found is None:
        return
    name, answers = found
    print(
        printable(
            f"accuracy {answers.accuracy:.4f} on {len(answers.labels):,} test images of {name}"
        )
    )
    if answers.accuracy >= LOW:
        return
    causes = {
        (0.0, 255.0): "trained on pixels of 0 to 255",
        (1.0, 0.0): "trained on dark ink on a light ground",
        (255.0, 0.0): "trained on both",
    }
    print("that is low; likely causes, and the option that tries each:")
    for (low, high), cause in causes.items():
        if (low, high) != input_range:
            print(f"  {cause + '?':<42}--input_range {low:g} {high:g}")
    print(f"  {'trained on other data?':<42}--data.dataset DATA")


def _test_answers(checkpoint: Checkpoint, data: dict[str, Any]) -> tuple[str, Answers] | None:
    """Return a data set's name and the answers to its test images; None where none are at hand.

    Nothing is downloaded.
    """
    found = datasets.find(**datasets.options_of(checkpoint, data))
    if isinstance(found, Published) and found.name != sample.NAME and found.problems():
        return None
    found.prepare()
    images, labels = found.load(val_split=0)["test"]
    fits = images.shape[-1] == checkpoint.image_size
    if not fits or found.class_names != checkpoint.class_names or not len(labels):
        return None
    answered = log_probabilities(checkpoint.build(), images)
    return found.name, Answers(images[:, 0].numpy(), labels.numpy(), answered.numpy())
