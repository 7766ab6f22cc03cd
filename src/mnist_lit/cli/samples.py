"""`samples`: training images with their labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_lit import environment
from mnist_lit.cli import options
from mnist_lit.cli.parser import Parser
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.listing import as_text
from mnist_lit.errors import Argument, InputError, listed, printable
from mnist_lit.files import atomic_write
from mnist_lit.report import figures, window
from mnist_lit.report.labels import shown
from mnist_lit.report.style import png, styled


def command(args: list[str]) -> int:
    """Draw a grid of training images into a file or a window."""
    environment.quiet()
    parser = _parser()
    given = parser.parse_args(args)
    output = options.output_file(given.output, (".png",))
    for name, least in (("count", 1), ("seed", 0)):
        if given[name] < least:
            raise InputError(Argument(name, given[name]), "is too small", f"give at least {least}")
    if output is None and not window.available():
        output = Path("samples.png")
    data: MNISTDataModule = parser.instantiate(given).data
    classes = _classes(given.classes, data.class_names)
    data.prepare_data()
    data.setup("fit")
    chosen = _choose(data, classes, given.count, given.seed)
    _draw(data, chosen, given.style, output)
    if output:
        print(printable(f"{len(chosen)} training images of {data.name}: {output}"))
    return 0


def _parser() -> Parser:
    parser = Parser.of("samples")
    parser.add_argument(
        "--output",
        type=str,
        metavar="FILE",
        help="a .png file (default: a window; `samples.png` where there is no display)",
    )
    parser.add_argument("--classes", nargs="+", type=str, help="classes to draw (default: all)")
    parser.add_argument("--count", type=int, default=50, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="which images")
    options.add_style(parser)
    parser.add_data()
    return parser


def _classes(wanted: Sequence[str] | None, names: Sequence[str]) -> Sequence[str]:
    """Return the classes that are wanted, by their names in the data set."""
    classes = [as_text(name) for name in wanted or ()] or names
    if unknown := sorted(set(classes) - set(names)):
        raise InputError(
            Argument("classes", unknown), "is unknown", f"the classes are {listed(names, 20)}"
        )
    return classes


def _choose(
    data: MNISTDataModule, classes: Sequence[str], count: int, seed: int
) -> NDArray[np.int64]:
    """Return the places of `count` training images of these classes, in a random order."""
    labels = data.splits["train"].labels.numpy()
    wanted = [data.class_names.index(name) for name in classes]
    places = np.flatnonzero(np.isin(labels, wanted))
    if not len(places):
        raise InputError(
            Argument("classes", list(classes)), "has no training image", "name other classes"
        )
    return np.random.default_rng(seed).permutation(places)[:count]


def _draw(
    data: MNISTDataModule, chosen: NDArray[np.int64], style: str, output: Path | None
) -> None:
    """Draw the images into a file, or into a window."""
    train = data.splits["train"]
    labels = train.labels.numpy()[chosen]
    names, note = shown(data.class_names, labels)
    with styled(style):
        figure = figures.tiles(
            train.images[chosen, 0].numpy(),
            [names[label] for label in labels],
            columns=min(10, len(chosen)),
            empty="",
            note=note,
        )
        if output is None:
            window.show(figure)
        else:
            with atomic_write(output) as file:
                file.write(png(figure))
