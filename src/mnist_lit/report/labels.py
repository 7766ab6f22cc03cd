"""Names of classes and runs in figures: short enough, and in fonts that have their characters."""

import contextlib
import functools
import logging
import unicodedata
from collections.abc import Iterable, Sequence

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

# It logs that it builds a cache, which happens once.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

LONGEST = 16  # columns of a name in a figure
NUMBERED = "numbers stand for names that no installed font can draw"


def shown(
    names: Sequence[str], used: Iterable[int] | None = None, longest: int = LONGEST
) -> tuple[list[str], str]:
    """Return names as figures show them, and a note on the numbers among them (or "").

    A long name is shortened in its middle, so that names with the same start stay apart. A name
    that no installed font can draw is shown by its index, as `#3`.

    Args:
        names: The names.
        used: Indices of the names that the figure holds; by default all.
        longest: The most columns that a name may take; a Chinese character takes two.
    """
    # A letter and its accent become one character: older matplotlib draws them side by side.
    names = [unicodedata.normalize("NFC", name) for name in names]
    drawn = [not fonts(frozenset(name))[1] for name in names]
    found = [
        shortened(name, longest) if known else f"#{i}"
        for i, (name, known) in enumerate(zip(names, drawn, strict=True))
    ]
    used = range(len(names)) if used is None else used
    return found, "" if all(drawn[i] for i in used) else NUMBERED


def shortened(name: str, longest: int) -> str:
    """Return a name in at most so many columns, its middle left out."""
    if columns(name) <= longest:
        return name
    head, tail = name[:longest], name[-longest:]
    while columns(head) > longest // 2:
        head = head[:-1]
    while columns(tail) > longest // 2 - 1:
        tail = tail[1:]
    return f"{head}…{tail}"


def columns(text: str) -> int:
    """Return how many columns a terminal would need for the text."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def points(text: str, size: float) -> float:
    """Return the approximate width of a line of text in points, at a font size in points."""
    return 0.64 * size * columns(text)


def width(texts: Sequence[str], size: float) -> float:
    """Return the width of the widest of some lines in inches, at a font size in points."""
    figure = Figure()
    with lettered(texts):
        drawn = [figure.text(0, 0, text, fontsize=size) for text in texts]
        widest: float = max(text.get_window_extent().width for text in drawn)
    return widest / figure.dpi


@functools.lru_cache(2000)
def fonts(characters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Return the font families that can draw the characters, and the characters that none can."""
    families = list(matplotlib.rcParams["font.family"])
    if all(" " <= c <= "~" for c in characters):
        return families, frozenset()
    # Control characters, lone surrogates, and private-use characters, which mean something only in
    # the font that defines them.
    unfit = frozenset(c for c in characters if unicodedata.category(c) in ("Cc", "Cs", "Co"))
    if unfit:
        return families, unfit
    missing = characters - _characters(font_manager.findfont(font_manager.FontProperties()))
    for family, path in _others() if missing else ():
        if missing & _characters(path):
            families.append(family)
            missing -= _characters(path)
    return families, missing


@functools.cache
def _characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))


@functools.cache
def _others() -> list[tuple[str, str]]:
    """Return family and path of every installed font, those without serifs first."""
    manager = font_manager.fontManager
    # matplotlib keeps its list of fonts, and would miss one that was installed since.
    for path in set(font_manager.findSystemFonts()) - {entry.fname for entry in manager.ttflist}:
        with contextlib.suppress(Exception):  # a malformed font can make the reader raise anything
            manager.addfont(path)
    # "Last Resort" draws every character as a box.
    families = {entry.name for entry in manager.ttflist if "Last Resort" not in entry.name}
    return [
        (
            family,
            manager.findfont(
                font_manager.FontProperties(family=[family]), fallback_to_default=False
            ),
        )
        for family in sorted(families, key=lambda family: ("Sans" not in family, family))
    ]


def lettered(texts: Iterable[str]) -> contextlib.AbstractContextManager[None]:
    """Draw within this context with fonts that have all characters of the texts."""
    families = fonts(frozenset("".join(texts)) - {"\n"})[0]
    return matplotlib.rc_context({"font.family": families})
