"""`samples`: training images with their labels."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mnist_lit import environment as process
from mnist_lit.cli.parser import Parser
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.listing import as_text
from mnist_lit.data.splits import listed
from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write
from mnist_lit.report import figures
from mnist_lit.report import labels as lettering


def command(args: list[str]) -> int:
    """Draw a grid of training images into a file or a window."""
    process.quiet()
    parser = Parser(prog="python -m mnist_lit samples", description="")
    parser.add_argument("--output", type=str | None, help="a .png file (default: a window)")
    parser.add_argument("--classes", nargs="+", type=str, help="classes to draw (default: all)")
    parser.add_argument("--count", type=int, default=50, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="which images")
    parser.add_argument("--style", choices=list(figures.STYLES), default="light")
    parser.add_lightning_class_args(MNISTDataModule, "data")
    options = parser.parse_args(args)
    output = options.output
    if output and (Path(output).suffix != ".png" or Path(output).is_dir()):
        raise InputError(f"--output {output!r} must be a file that ends in .png")
    if options.count < 1 or options.seed < 0:
        raise InputError("--count must be at least 1 and --seed at least 0")
    data = parser.instantiate(options).data
    names = data.class_names
    classes = [as_text(name) for name in options.classes or ()] or names
    if unknown := sorted(set(classes) - set(names)):
        raise InputError(f"--classes {' '.join(unknown)}: the classes are {listed(names, 20)}")
    data.prepare_data()
    data.setup("fit")
    train = data.splits["train"]
    labels = train.labels.numpy()
    wanted = [names.index(name) for name in classes]
    order = np.random.default_rng(options.seed).permutation(np.flatnonzero(np.isin(labels, wanted)))
    chosen = order[: options.count]
    if not len(chosen):
        raise InputError(f"--classes {' '.join(classes)}: no training image is of them")
    drawn, note = lettering.shown(names, labels[chosen])
    titles = [drawn[label] for label in labels[chosen]]
    with figures.styled(options.style) as style:
        columns = min(10, len(chosen))
        figure = figures.tiles(
            train.images[chosen, 0].numpy(), titles, style, columns=columns, empty="", note=note
        )
        if output is None:
            _show(figure)
        else:
            with atomic_write(Path(output)) as file:
                figure.savefig(file, format="png", dpi=figures.DPI * 0.6)
            print(f"{len(chosen)} training images of {data.name}: {output}")
    return 0


def _show(figure: Figure) -> None:
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() == "agg":
        raise InputError("there is no display for a window: give --output FILE.png")
    window = plt.figure(figsize=figure.get_size_inches(), dpi=60)
    figure.set_canvas(window.canvas)
    assert window.canvas.manager is not None
    window.canvas.figure = figure
    plt.show()
