"""A layer's configuration, of which every key is used or must have its default."""

import math
from collections.abc import Mapping
from typing import Any

from mnist_lit.formats.keras.chain import KerasLayer, label, shown

# What says nothing of the layer's function once it is trained.
SILENT = {
    "name", "seed", "build_config", "batch_input_shape", "batch_shape", "input_shape", "input_dim",
    "batch_size", "input_dtype",
}  # fmt: skip
DTYPES = ("float32", "mixed_float16", "mixed_bfloat16")
MOST = 1_000_000_000


class Misfit(Exception):
    """A layer that can't be fitted in, so that what follows it can't be checked in full."""


class Options:
    """The configuration of one layer, consumed key by key.

    A value that can't be taken is recorded, and a stand-in returned, so that one pass finds
    everything that stands in the way.

    Attributes:
        layer: The layer.
        refused: What can't be taken, a phrase that reads on from the layer's name each.
        notes: What was left out, to be told.
    """

    def __init__(self, layer: KerasLayer) -> None:
        self.layer = layer
        self.refused: list[str] = []
        self.notes: list[str] = []
        self._left = dict(layer.config)

    @property
    def label(self) -> str:
        return label(self.layer.name, self.layer.kind)

    def refuse(self, why: str) -> None:
        self.refused.append(why)

    def take(self, key: str, default: Any) -> Any:
        """Return the value of a key; None and a missing key mean the default."""
        value = self._left.pop(key, None)
        return default if value is None else value

    def number(self, key: str, default: float) -> float:
        value = self.optional_number(key)
        return default if value is None else value

    def optional_number(self, key: str) -> float | None:
        value = plain(self.take(key, None))
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            self._not(key, value, "a number")
            return None
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.take(key, default)
        return self._whole(key, value)

    def _whole(self, key: str, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= MOST:
            self._not(key, value, "a whole number above 0")
            return 1
        return value

    def pair(self, key: str, default: Any = None) -> tuple[int, int]:
        """Return a size for height and width."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple):
            value = [value, value]
        if len(value) != 2:
            self._not(key, value, "two whole numbers")
            return 1, 1
        return self._whole(key, value[0]), self._whole(key, value[1])

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if type(value) is not bool:
            self._not(key, value, "true or false")
            return default
        return value

    def choice(self, key: str, default: str, *others: str) -> str:
        value = self.take(key, default)
        if value not in (default, *others):
            self._not(key, value, " or ".join((default, *others)))
            return default
        return str(value)

    def channels_last(self) -> bool | None:
        """Return whether channels come last; None where the layer does not say."""
        if "data_format" not in self._left:
            return None
        return self.choice("data_format", "channels_last", "channels_first") == "channels_last"

    def default(self, key: str, *values: Any) -> None:
        """Refuse a key whose value is none of these."""
        value = self.take(key, values[0])
        if value not in values:
            self._not(key, value, " or ".join(map(shown, values)))

    def ignore(self, *keys: str) -> None:
        """Take keys that change nothing once the model is trained."""
        for key in keys:
            self._left.pop(key, None)

    def ignore_all(self) -> None:
        self._left.clear()

    def finish(self) -> None:
        """Refuse what is left, unless it says nothing of the layer's function."""
        for key, value in self._left.items():
            if key == "dtype":
                self._dtype(value)
            elif key == "trainable":
                if value is False:
                    self.notes.append("frozen in Keras, not here")
            elif key.endswith(("_regularizer", "_constraint")):
                if value is not None:
                    self.notes.append(f"{shown(key)} left out")
            elif not (
                key in SILENT
                or key.endswith("_initializer")
                # An option that a later version knows, switched off.
                or any(value is off for off in (None, False))
                or value in ([], {})
            ):
                self._not(shown(key), value, "its default")
        self._left.clear()

    def _dtype(self, value: Any) -> None:
        if isinstance(value, Mapping):
            config = value.get("config")
            value = config.get("name") if isinstance(config, Mapping) else value
        if value not in DTYPES and value is not None:
            self._not("dtype", value, "float32")
        elif value is not None and value != "float32":
            self.notes.append(f"{value} there, float32 here")

    def _not(self, key: str, value: Any, expected: str) -> None:
        self.refuse(f"has {key} {shown(value)}, not {expected}")


def plain(value: Any) -> Any:
    """Return a number that early Keras 2 wrote as an array, or a list of one number, as it is."""
    if isinstance(value, Mapping):
        inner = value.get("config", value)
        value = inner.get("value", value) if isinstance(inner, Mapping) else value
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value
