"""The folder of a run, `runs/<name>/version_N`, and its configuration."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write


class Run:
    """One run's folder.

    The configuration is written at each start, so its time is that of the run's latest start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.metrics = folder / "metrics.csv"
        self.summary = folder / "summary.json"
        self.report = folder / "report.html"
        self.checkpoints = folder / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"

    def __str__(self) -> str:
        return str(self.folder)

    def remove(self) -> None:
        """Delete the folder, and those above it that hold nothing else, up to that of all runs."""
        shutil.rmtree(self.folder)
        with contextlib.suppress(OSError):  # other runs are there
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()

    def probe(self) -> None:
        """Write a file where checkpoints will be written, and delete it.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self.checkpoints / ".probe"
        with atomic_write(path):
            pass
        path.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        with atomic_write(self.config) as file:
            file.write(
                yaml.dump(
                    dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True
                ).encode()
            )

    def read_config(self) -> dict[str, Any]:
        """Return the configuration as nested dictionaries of plain values.

        Raises:
            InputError: There is none, or it is damaged.
        """
        try:
            config = yaml.safe_load(self.config.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(self.config, f"cannot be read ({what})", "start a new run") from error
        if not isinstance(config, dict):
            raise InputError(self.config, "holds no configuration", "start a new run")
        return config


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a YAML reader could take for a number: a run may be named 1e-3."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    try:
        float(text)
    except ValueError:
        return yaml.representer.SafeRepresenter.represent_str(dumper, text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'")


_Dumper.add_representer(str, _represent_text)


def create(root: Path, name: str) -> Run:
    """Make the next version's folder; runs that start together each get their own."""
    parent = root / name
    parent.mkdir(parents=True, exist_ok=True)
    versions = [path.name.removeprefix("version_") for path in parent.glob("version_*")]
    version = max((int(v) for v in versions if v.isdecimal()), default=-1) + 1
    while True:
        try:
            (parent / f"version_{version}").mkdir()
        except FileExistsError:
            version += 1
        else:
            return Run(parent / f"version_{version}")


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a nested configuration's values by their dotted names; a network is one value."""
    for key, value in config.items():
        name = prefix + key
        if isinstance(value, Mapping) and name != "model.network":
            yield from leaves(value, f"{name}.")
        else:
            yield name, list(value) if isinstance(value, tuple) else value
