"""A figure in a window of its own."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mnist_lit.errors import Argument, InputError


def show(figure: Figure) -> None:
    """Show a figure in a window until it is closed.

    Raises:
        InputError: There is no display.
    """
    if plt.get_backend().lower() == "agg":
        raise InputError(
            "there is no display for a window", "", ("name a file by", Argument("output"))
        )
    window = plt.figure(figsize=figure.get_size_inches(), dpi=60)
    figure.set_canvas(window.canvas)
    assert window.canvas.manager is not None
    window.canvas.figure = figure
    plt.show()
