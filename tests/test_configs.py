"""The recipes in `configs/`: each says what it is for, loads, and is what it says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers import REPOSITORY
from mnist_lit import environment
from mnist_lit.cli.training import CLI

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))


def resolved(*args: str) -> dict[str, Any]:
    environment.quiet()
    return CLI("fit", [*args, "--trainer.fast_dev_run", "true"]).plain_config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads_and_says_what_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    given, whole = yaml.safe_load(path.read_text()), resolved("--config", str(path))
    for group, options in given.items():
        for name, value in options.items():
            if name != "callbacks":
                assert whole[group][name] == value


def test_all_are_there() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"quick", "keras", "full", "early_stopping"} <= names


def test_keras_spells_out_the_defaults() -> None:
    path = REPOSITORY / "configs" / "keras.yaml"
    assert resolved("--config", str(path)) == resolved()
    # Every value that is the notebook's: nothing of data and model goes without saying.
    given, whole = yaml.safe_load(path.read_text()), resolved()
    elsewhere = {"data_dir", "source", "preprocessing", "strict"}
    assert given["data"].keys() == whole["data"].keys() - elsewhere
    assert given["model"].keys() == whole["model"].keys()
    assert given["trainer"] == {"max_epochs": 50}
