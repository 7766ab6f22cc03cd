"""`import-keras`: a Keras model as a checkpoint."""

import shlex
import sys
from pathlib import Path
from typing import Any

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.cli import console, options
from mnist_lit.cli.parser import Parser
from mnist_lit.data import datasets, sample
from mnist_lit.data.published import Published
from mnist_lit.errors import Failure, InputError, printable
from mnist_lit.evaluation import Answers
from mnist_lit.formats.import_keras import import_keras
from mnist_lit.formats.keras.model import Model
from mnist_lit.network.inference import log_probabilities

LOW = 0.5  # an accuracy below this has a cause that the file does not show
# By the range of pixels that a model may have been trained on.
CAUSES = {
    (0.0, 255.0): "pixels of 0 to 255?",
    (-1.0, 1.0): "pixels of -1 to 1?",
    (1.0, 0.0): "dark ink on a light ground?",
    (255.0, 0.0): "dark ink, pixels of 0 to 255?",
}


def command(args: list[str]) -> int:
    """Write the checkpoint; print what was taken, and the accuracy where images are at hand."""
    environment.quiet()
    parser = _parser()
    given = parser.parse_args(args)
    if not given.output:
        raise InputError("--output", "is missing", "name the checkpoint to write, FILE.ckpt")
    output = options.output_file(given.output, (".ckpt",))
    data = parser.given_data(args)
    imported = import_keras(
        given.file,
        output,
        dataset=data.get("dataset"),
        network=given.model.network,
        input_range=tuple(given.input_range) if given.input_range else None,
        data={name: value for name, value in data.items() if name != "dataset"},
    )
    print(printable(f"{given.file} -> {output}"))
    _print_layers(imported.model)
    _print_accuracy(output, data, imported.model.input_range)
    unknown = imported.dataset == datasets.UNKNOWN
    if unknown:
        print("what data it is of isn't known: --data.dataset DATA names them")
    elif "dataset" not in data:
        print(
            printable(f"taken to be of {imported.dataset} data; --data.dataset DATA names others")
        )
    where = " --data.dataset DATA" if unknown else ""
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
        metavar=("LOW", "HIGH"),
        help="the values that the model was trained on for the darkest and the brightest pixel "
        "(default: 0 1, or as the file's own Rescaling says)",
    )
    parser.add_argument(
        "--model.network",
        type=str | list | dict | None,
        help="the network of a .weights.h5 file, which holds no layers (default: notebook)",
    )
    parser.add_data()
    return parser


def _print_layers(model: Model) -> None:
    """Print Keras's layers beside what became of them."""
    lines = [("in Keras", "here", "parameters", "")]
    for row in model.rows:
        ours = ", ".join(row.ours) or "-"
        lines.append((f"{row.name} ({row.kind})", ours, f"{row.parameters:,}", row.note))
    lines.append(("total", "", f"{sum(row.parameters for row in model.rows):,}", ""))
    widths = [max(len(printable(line[i])) for line in lines) for i in range(2)]
    for theirs, ours, parameters, note in lines:
        start = f"{printable(theirs):<{widths[0]}}  {ours:<{widths[1]}}  {parameters:>10}"
        print(f"{start}  {printable(note)}".rstrip())


def _print_accuracy(path: Path, data: dict[str, Any], input_range: tuple[float, float]) -> None:
    """Print the accuracy on test images that are at hand, and what may be wrong with a low one."""
    try:
        found = _test_answers(checkpoints.read(path), data)
    except Failure as error:
        console.show(f"warning: no accuracy: {error.line(options.spell)}", sys.stderr)
        return
    if found is None:
        return
    name, answers = found
    n = f"{len(answers.labels):,}"
    print(printable(f"accuracy {answers.accuracy:.4f} on {n} test images of {name}"))
    if answers.accuracy >= LOW:
        return
    print("that is low; likely causes, and the option that tries each:")
    for (low, high), cause in CAUSES.items():
        if (low, high) != input_range:
            print(f"  {cause:<38}--input_range {low:g} {high:g}")
    print(f"  {'other data, or other classes?':<38}--data.dataset DATA")
    print("  or the model itself: compare with Keras's model.evaluate")


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
