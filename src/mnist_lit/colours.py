"""The colours of figures and pages, told apart by people with any colour vision.

Blue, red and the others of `series` are those of Okabe and Ito, Color Universal Design.
"""

from typing import NamedTuple


class Colours(NamedTuple):
    ground: str
    ink: str
    quiet: str  # text of less weight
    line: str  # grids, borders and shades
    box: str
    warning: str
    blue: str
    red: str

    @property
    def series(self) -> list[str]:
        """Colours for several curves, the most legible on the ground first."""
        others = ["#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#f0e442"]
        return list(dict.fromkeys([self.blue, self.red, *others]))

    @property
    def css(self) -> str:
        """The colours as CSS variables: `--ground: #ffffff; …`."""
        return " ".join(f"--{name}: {value};" for name, value in self._asdict().items())


STYLES = {
    "light": Colours(
        ground="#ffffff",
        ink="#1b1f24",
        quiet="#59636e",
        line="#d9dde2",
        box="#f4f6f8",
        warning="#8a4b00",
        blue="#0072b2",
        red="#d55e00",
    ),
    "dark": Colours(
        ground="#15191e",
        ink="#e6e9ed",
        quiet="#a3adb8",
        line="#3a4149",
        box="#1e242b",
        warning="#f2b84b",
        blue="#56b4e9",
        red="#e69f00",
    ),
}
