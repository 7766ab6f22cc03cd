"""How every figure is drawn: its colours, its fonts, its resolution."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mnist_lit.colours import STYLES, Colours

DPI = 130


@contextlib.contextmanager
def styled(name: str) -> Iterator[Colours]:
    """Draw in the style `light` or `dark` within this context."""
    colours = STYLES[name]
    values: Any = {
        "figure.facecolor": colours.ground,
        "savefig.facecolor": colours.ground,
        "axes.facecolor": colours.ground,
        "axes.edgecolor": colours.ink,
        "axes.labelcolor": colours.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "grid.color": colours.line,
        "legend.frameon": False,
        "font.size": 11,
        "text.parse_math": False,  # names may hold $
    }
    with matplotlib.rc_context(values):
        yield colours


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()
