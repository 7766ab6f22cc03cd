"""`predict`: characters in the user's own pictures. It starts fast, so it imports no Lightning."""

import argparse
import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mnist_lit import prediction
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import PRETRAINED, Checkpoint
from mnist_lit.cli import console, options
from mnist_lit.cli.plain import ArgumentParser
from mnist_lit.errors import InputError, listed, printable
from mnist_lit.files import atomic_write, is_table
from mnist_lit.pictures.constants import SHEET_SIDE
from mnist_lit.pictures.decoding import KINDS, decode
from mnist_lit.pictures.ink import SEVERAL_NOTE
from mnist_lit.pictures.preprocessing import Picture
from mnist_lit.pictures.splitting import Box
from mnist_lit.prediction import Prediction
from mnist_lit.runs import finding

SHOWN = 100  # pictures in the figure
NAMED = 5  # of the files in a folder that aren't pictures
DATA = ("dataset", "data_dir", "value_range", "transposed")  # arguments of the data module


def _parse(args: list[str]) -> argparse.Namespace:
    parser = ArgumentParser(
        "predict",
        "Read characters in pictures: dark ink on light or light on dark, or photographs.",
    )
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="IMAGE",
        help="a file, folder or pattern; or a table of images, .csv or .npz",
    )
    options.add_checkpoint(parser, or_pretrained=True)
    options.add_runs(parser)
    parser.add_argument(
        "--split",
        action="store_true",
        help="read each picture's separate characters, line by line: a row each, with its box",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="also write the table to this .csv or .json file"
    )
    parser.add_argument(
        "--submission",
        metavar="FILE",
        help="write the answers for a table of images to this .csv file, as Kaggle's digit "
        "recogniser competition wants them",
    )
    parser.add_argument(
        "--show",
        metavar="FILE",
        help="draw what the network saw into this .png file; with --split, where it found it",
    )
    parser.add_argument(
        "--test-image", type=int, metavar="N", help="the test set's image N, from 0"
    )
    _add_data(parser)
    given = parser.parse_args(args)
    if bool(given.pictures) == (given.test_image is not None):
        parser.error("give pictures, or --test-image N")
    if given.submission and not (len(given.pictures) == 1 and is_table(given.pictures[0])):
        parser.error("--submission needs one table of images, .csv or .npz")
    if given.split and (given.submission or given.test_image is not None):
        parser.error("--split is for pictures")
    return given


def _add_data(parser: ArgumentParser) -> None:
    """Add what names the test set and says how tables are read."""
    parser.add_argument(
        "--data.dataset",
        dest="dataset",
        metavar="DATASET",
        help="whose test images --test-image means (default: the one trained on)",
    )
    parser.add_argument(
        "--data.data_dir",
        dest="data_dir",
        metavar="DIR",
        help="folder that holds MNIST/raw, for --test-image",
    )
    parser.add_argument(
        "--data.value_range",
        dest="value_range",
        type=_value_range,
        metavar="[LOW, HIGH]",
        help="the values of black and white in a table (default: as in training)",
    )
    parser.add_argument(
        "--data.transposed",
        dest="transposed",
        choices=("true", "false"),
        help="whether the rows of a table's images are columns (default: as in training)",
    )


def _value_range(text: str) -> list[float]:
    try:
        low, high = json.loads(text)
        return [float(low), float(high)]
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not [LOW, HIGH]") from error


def command(args: list[str]) -> int:
    """Print a table of predictions; return 2 where a picture could not be read, else 0."""
    given = _parse(args)
    output = options.output_file(given.output, (".csv", ".json"))
    show = options.output_file(given.show, (".png",), "show")
    submission = options.output_file(given.submission, (".csv",), "submission")
    path = finding.find_checkpoint(given.ckpt_path, Path(given.runs), or_pretrained=True)
    checkpoint = checkpoints.read(path)
    failures: list[InputError] = []

    def broken(error: InputError) -> None:
        failures.append(error)
        console.show(f"error: {printable(error.line(options.spell))}", sys.stderr)

    data = {name: getattr(given, name) for name in DATA if getattr(given, name) is not None}
    if "transposed" in data:
        data["transposed"] = data["transposed"] == "true"
    if given.test_image is None:
        files = prediction.expand(given.pictures, _left_out)
        seen = prediction.read_pictures(files, checkpoint, broken, data, split=given.split)
    else:
        files = ["test image 00000"]
        seen = iter([prediction.test_image(given.test_image, checkpoint, data)])
    table: list[tuple[Any, ...]] = []
    shown: list[tuple[Prediction, Picture]] = []
    columns = [*Prediction._fields, *(["box"] if given.split else [])]
    line = _lines(files, checkpoint.class_names)
    for row, picture in prediction.answers(checkpoint, seen):
        cells = (*row, picture.box) if given.split else tuple(row)
        if not table:
            _name(checkpoint)
            if not submission:  # of which there are tens of thousands of lines
                print(line(columns))
        if not submission:
            print(line([_cell(cell) for cell in cells]))
        table.append(cells)
        if show and len(shown) < SHOWN:
            shown.append((row, picture))
    if output:
        _write(output, columns, table)
    if submission and not failures:
        _submit(submission, [label for _, label, *_ in table])
    if show and shown:
        draw = _draw_sheets if given.split else _draw
        draw(show, shown, checkpoint.class_names)
    return 2 if failures else 0


def _left_out(folder: str, files: Sequence[str]) -> None:
    console.show(printable(f"{folder}: left out {listed(files, NAMED)} (not {KINDS})"), sys.stderr)


def _name(checkpoint: Checkpoint) -> None:
    """Print by which checkpoint the table is: the newest run need not be the one that is meant."""
    name = "pretrained" if checkpoint.path == PRETRAINED else checkpoint.path
    print(printable(f"by {name}, trained on {checkpoint.dataset}"))


def _lines(files: Sequence[str], class_names: Sequence[str]) -> Callable[[Iterable[str]], str]:
    """Return the function that makes a line of the table from its cells."""
    space = shutil.get_terminal_size().columns - 50
    row = len(" row 00000")
    of_file = max(len(printable(file)) + row * is_table(file) for file in files)
    of_file = min(of_file, space)
    of_class = max(len(printable(name)) for name in class_names)
    forms = [f"<{of_file}", f">{max(of_class, 5)}", ">11", f">{max(of_class, 9)}", ">21"]
    forms += [f"<{len(SEVERAL_NOTE)}", ""]  # note and box

    def line(cells: Iterable[str]) -> str:
        columns = [f"{printable(cell):{form}}" for cell, form in zip(cells, forms, strict=False)]
        return "  ".join(columns).rstrip()

    return line


def _cell(cell: object) -> str:
    if isinstance(cell, Box):
        return ",".join(map(str, cell))
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def _write(path: Path, columns: Sequence[str], table: Sequence[tuple[Any, ...]]) -> None:
    if path.suffix == ".json":
        rows = [dict(zip(columns, row, strict=True)) for row in table]
        text = json.dumps(rows, indent=2) + "\n"
    else:
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(columns)
        for row in table:
            writer.writerow(_cell(cell) if isinstance(cell, Box) else cell for cell in row)
        text = lines.getvalue()
    with atomic_write(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def _submit(path: Path, labels: Sequence[str]) -> None:
    """Write the answers in the layout of the competition's own sample submission."""
    lines = ["ImageId,Label", *(f"{n},{label}" for n, label in enumerate(labels, 1))]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print(printable(f"{len(labels):,} answers: {path}"))


def _draw(
    path: Path, shown: Sequence[tuple[Prediction, Picture]], class_names: Sequence[str]
) -> None:
    from mnist_lit.report import figures  # with matplotlib, which takes a second
    from mnist_lit.report import labels as lettering
    from mnist_lit.report.style import png, styled

    labels = [class_names.index(row.label) for row, _ in shown]
    names, note = lettering.shown(class_names, labels)
    titles = [
        f"{names[label]}  {row.probability:.2f}"
        for label, (row, _) in zip(labels, shown, strict=True)
    ]
    images = np.stack([picture.image for _, picture in shown])
    with styled("light"), atomic_write(path) as file:
        columns = min(len(shown), 10)
        file.write(png(figures.tiles(images, titles, columns=columns, empty="", note=note)))


def _draw_sheets(
    path: Path, shown: Sequence[tuple[Prediction, Picture]], class_names: Sequence[str]
) -> None:
    """Draw each picture with its characters' boxes and labels."""
    from mnist_lit.report import figures  # with matplotlib, which takes a second
    from mnist_lit.report import labels as lettering
    from mnist_lit.report.style import png, styled

    found = [class_names.index(row.label) for row, _ in shown]
    names, _ = lettering.shown(class_names, found)
    sheets = []
    for file, rows in groupby(zip(found, shown, strict=True), key=lambda each: each[1][0].file):
        grey, size = decode(Path(file), SHEET_SIDE)
        boxes = [(names[label], picture.box) for label, (_, picture) in rows if picture.box]
        sheets.append(figures.Sheet(grey, size, boxes))
    with styled("light") as colours, atomic_write(path) as file:
        file.write(png(figures.sheets(sheets, colours)))
