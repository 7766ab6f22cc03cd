"""How every figure is drawn: its colours, its fonts, its resolution."""

import contextlib
import io
import re
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
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "mnist-lit",  # the same figure is the same file
    }
    with matplotlib.rc_context(values):
        yield colours


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def svg(figure: Figure, colours: Colours, name: str) -> str:
    """Return a figure as an SVG element that takes its colours from the page around it.

    Args:
        figure: A figure drawn in `colours`.
        colours: The style's; each becomes the CSS variable of its name.
        name: What sets the element's ids apart from those of others on the page.
    """
    content = io.StringIO()
    figure.savefig(content, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
    text = content.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    for variable, colour in colours._asdict().items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>{name}-", text)
