"""Colours: legible on their ground."""

import numpy as np
import pytest

from mnist_lit.colours import STYLES


def luminance(colour: str) -> float:
    """Return the relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", STYLES)
def test_contrast(name: str) -> None:
    """Text has WCAG's contrast of 4.5, lines and dots that of 3."""
    colours = STYLES[name]
    for text in (colours.ink, colours.quiet, colours.warning):
        assert contrast(text, colours.ground) >= 4.5 and contrast(text, colours.box) >= 4.5
    for line in (colours.blue, colours.red):
        assert contrast(line, colours.ground) >= 3


def test_series_begins_with_the_legible_and_repeats_none() -> None:
    for colours in STYLES.values():
        assert colours.series[:2] == [colours.blue, colours.red]
        assert len(set(colours.series)) == len(colours.series)


def test_css() -> None:
    assert STYLES["light"].css.startswith("--ground: #ffffff; --ink: #1b1f24; --quiet:")
