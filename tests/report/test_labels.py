"""Names in figures: short, and in fonts that have their characters."""

from typing import Any

import pytest
from matplotlib import font_manager

from mnist_lit.report import labels

# DejaVu Sans lacks it, and another font that comes with matplotlib has it.
RARE = "\N{LATIN SMALL LETTER D WITH PALATAL HOOK}"


def test_fonts_that_were_installed_since(fonts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = font_manager.fontManager
    new = [entry.fname for entry in manager.ttflist if entry.name == "STIXGeneral"]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [*new, "no font"])
    manager.ttflist[:] = [entry for entry in manager.ttflist if entry.name == "DejaVu Sans"]
    assert labels.shown([RARE]) == ([RARE], "")


def test_plain_names_cost_nothing(fonts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def needless(*args: Any) -> Any:
        raise AssertionError("a font was read")

    monkeypatch.setattr(labels, "_others", needless)
    monkeypatch.setattr(labels, "_characters", needless)
    assert labels.shown(["T-shirt/top", "~"]) == (["T-shirt/top", "~"], "")


def test_long_names_are_shortened() -> None:
    long = [f"photograph_of_a_{animal}" for animal in ("cat", "dog")] + ["⚡" * 20]
    assert labels.shown(long)[0] == ["photogra…f_a_cat", "photogra…f_a_dog", "⚡⚡⚡⚡…⚡⚡⚡"]
    whole = ["sixteen letters.", "⚡" * 8]
    assert labels.shown(whole)[0] == whole


def test_letters_and_accents_become_one() -> None:
    assert labels.shown(["e\u0301"])[0] == ["é"]


def test_only_numbers_that_are_drawn_are_explained() -> None:
    names = ["a", "x\ue000y"]
    assert labels.shown(names) == (["a", "#1"], labels.NUMBERED)
    assert labels.shown(names, [0]) == (["a", "#1"], "")
