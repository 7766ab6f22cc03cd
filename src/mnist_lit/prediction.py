"""`predict`: digits in the user's own pictures. Starts fast, so nothing here imports Lightning."""

import argparse
import csv
import glob
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.safetensors import PRETRAINED
from mnist_lit.cli.plain import ArgumentParser
from mnist_lit.data import datasets, sample
from mnist_lit.errors import InputError, printable
from mnist_lit.files import atomic_write
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.runs import run as runs

BATCH = 256  # pictures that are held in memory at once
SHOWN = 100  # pictures in the figure
UNSURE = 0.6


class Prediction(NamedTuple):
    """What a network makes of one picture."""

    file: str
    label: str
    probability: float
    runner_up: str
    runner_up_probability: float
    note: str


def predict(
    paths: str | Path | Iterable[str | Path],
    checkpoint: str | Path = PRETRAINED,
    *,
    broken: Callable[[InputError], None] | None = None,
) -> Iterator[Prediction]:
    """Yield what a checkpoint's network makes of picture files, one after the other.

    Args:
        paths: PNG, JPEG, BMP, WebP or TIFF files, or one; `pictures.prepare` says what becomes of
            them.
        checkpoint: A file that `fit`, `import-keras` or `export --format safetensors` wrote. By
            default the weights that come with the package.
        broken: Called with the error of each file that cannot be read; by default it is raised.

    Raises:
        InputError: The checkpoint or a picture cannot be read.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    network, values = checkpoints.load_network(checkpoint)
    named = _named(paths, values["preprocessing"], broken)
    for prediction, _ in _predict(network, values["class_names"], named):
        yield prediction


def _named(
    paths: Iterable[str | Path], preprocessing: str, broken: Callable[[InputError], None] | None
) -> Iterator[tuple[str, pictures.Picture]]:
    for path in paths:
        try:
            yield str(path), pictures.read(path, preprocessing)
        except InputError as error:
            if broken is None:
                raise
            broken(error)


def _predict(
    network: nn.Module, class_names: Sequence[str], named: Iterable[tuple[str, pictures.Picture]]
) -> Iterator[tuple[Prediction, pictures.Picture]]:
    named = iter(named)
    while batch := list(islice(named, BATCH)):
        images = torch.from_numpy(np.stack([picture.image for _, picture in batch]))
        with torch.inference_mode():
            probabilities = network(images.unsqueeze(1) / 255).exp()
        found, labels = probabilities.topk(2)
        for (file, picture), (best, second), (label, other) in zip(
            batch, found.tolist(), labels.tolist(), strict=True
        ):
            unsure = "unsure" if best < UNSURE else ""
            note = ", ".join(filter(None, (picture.note, unsure)))
            names = class_names[label], class_names[other]
            yield Prediction(file, names[0], best, names[1], second, note), picture


def expand(arguments: Sequence[str]) -> list[str]:
    """Return the files that the arguments mean: files, folders of pictures, patterns.

    Raises:
        InputError: A folder holds no picture, or nothing fits a pattern.
    """
    files: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = [
                str(file)
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in pictures.SUFFIXES
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
        elif not path.exists() and glob.has_magic(argument):
            found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 absolute ones too
        else:
            found = [argument]
        if not found:
            what = "holds no picture" if path.is_dir() else "is not there and fits no file"
            raise InputError(f"{argument} {what}: give PNG, JPEG, BMP, WebP or TIFF files")
        files += found
    return files


def _parse(args: list[str]) -> argparse.Namespace:
    parser = ArgumentParser(
        "predict", "Tell what pictures show: dark ink on light or light on dark, or photographs."
    )
    parser.add_argument("pictures", nargs="*", metavar="IMAGE", help="a file, folder or pattern")
    parser.add_argument(
        "--ckpt_path",
        help="`best` (default) or `last` of the newest run, `pretrained` (the default where there "
        "is no run), or a path",
    )
    parser.add_argument("--output", help="also write the table to this .csv or .json file")
    parser.add_argument("--show", help="draw what the network saw into this .png file")
    parser.add_argument(
        "--test-image", type=int, metavar="N", help="the test set's image N, from 0"
    )
    parser.add_argument(
        "--data.dataset",
        dest="dataset",
        help="whose test images --test-image means (default: the one trained on)",
    )
    parser.add_argument(
        "--data.data_dir", dest="data_dir", help="folder that holds MNIST/raw, for --test-image"
    )
    options = parser.parse_args(args)
    if bool(options.pictures) == (options.test_image is not None):
        parser.error("give pictures, or --test-image N")
    for name, suffixes in (("output", (".csv", ".json")), ("show", (".png",))):
        value = getattr(options, name)
        if value is not None and (Path(value).suffix not in suffixes or Path(value).is_dir()):
            parser.error(f"--{name} {value!r} must be a file that ends in {' or '.join(suffixes)}")
    return options


def command(args: list[str]) -> int:
    """Print a table of predictions; return 2 where a picture could not be read, else 0."""
    options = _parse(args)
    checkpoint = runs.find_checkpoint(options.ckpt_path, Path("runs"), or_pretrained=True)
    network, values = checkpoints.load_network(checkpoint)
    names = values["class_names"]
    failures = 0

    def broken(error: InputError) -> None:
        nonlocal failures
        failures += 1
        print(printable(f"error: {error}"), file=sys.stderr)

    if options.test_image is None:
        files = expand(options.pictures)
        named = _named(files, values["preprocessing"], broken)
    else:
        explicit = {"dataset": options.dataset, "data_dir": options.data_dir}
        named = iter([_test_image(options.test_image, checkpoint, explicit)])
        files = ["test image 00000"]
    width = min(
        max(len(printable(file)) for file in files), shutil.get_terminal_size().columns - 50
    )
    table: list[Prediction] = []
    shown: list[tuple[Prediction, Any]] = []
    of_class = max(len(printable(name)) for name in names)
    widths = (width, max(of_class, 5), 11, max(of_class, 9), 21)
    for prediction, picture in _predict(network, names, named):
        if not table:
            print(_line(Prediction._fields, widths))
        cells = [f"{cell:.4f}" if isinstance(cell, float) else cell for cell in prediction]
        print(_line(cells, widths))
        table.append(prediction)
        if options.show and len(shown) < SHOWN:
            shown.append((prediction, picture.image))
    if options.ckpt_path is None and values["dataset"] not in ("mnist", sample.NAME):
        # Of runs on several data sets the newest need not be the one meant.
        print(printable(f"by {checkpoint}, trained on {values['dataset']}"))
    if options.output:
        _write(Path(options.output), table)
    if shown:
        _draw(Path(options.show), shown, names)
    return 2 if failures else 0


def _test_image(
    n: int, checkpoint: Path, explicit: Mapping[str, str | None]
) -> tuple[str, pictures.Picture]:
    """Return an image of the test set that belongs to a checkpoint, named by its label."""
    given = {name: value for name, value in explicit.items() if value is not None}
    options = datasets.recorded_options(checkpoints.read(checkpoint), given)
    found = datasets.find(**options)
    found.prepare()
    images, labels = found.load(val_split=0)["test"]
    if not 0 <= n < len(images):
        raise InputError(f"--test-image {n} is not there: {found.name} has 0 to {len(images) - 1}")
    label = found.class_names[labels[n]]
    return f"test image {n}", pictures.Picture(images[n, 0].numpy(), f"labelled {label}")


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    first, *others, note = map(printable, cells)
    columns = [f"{first:<{widths[0]}}"]
    columns += [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join([*columns, note]).rstrip()


def _write(path: Path, table: Sequence[Prediction]) -> None:
    if path.suffix == ".json":
        text = json.dumps([row._asdict() for row in table], indent=2) + "\n"
    else:
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([Prediction._fields, *table])
        text = lines.getvalue()
    with atomic_write(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def _draw(path: Path, shown: Sequence[tuple[Prediction, Any]], class_names: Sequence[str]) -> None:
    from mnist_lit.report import figures
    from mnist_lit.report import labels as lettering

    labels = [class_names.index(prediction.label) for prediction, _ in shown]
    names, note = lettering.shown(class_names, labels)
    titles = [
        f"{names[label]}  {prediction.probability:.2f}"
        for label, (prediction, _) in zip(labels, shown, strict=True)
    ]
    images = np.stack([image for _, image in shown])
    with figures.styled("light") as style, atomic_write(path) as file:
        figure = figures.tiles(
            images, titles, style, columns=min(len(shown), 10), empty="", note=note
        )
        figure.savefig(file, format="png", dpi=figures.DPI)
