"""A figure in a window of its own."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def available() -> bool:
    """Tell whether there is a display for a window."""
    return plt.get_backend().lower() != "agg"


def show(figure: Figure) -> None:
    """Show a figure in a window until it is closed."""
    window = plt.figure(figsize=figure.get_size_inches(), dpi=60)
    figure.set_canvas(window.canvas)
    assert window.canvas.manager is not None
    window.canvas.figure = figure
    plt.show()
