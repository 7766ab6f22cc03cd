"""The configs in `configs/`: each says what it is for, loads, and sets what it names."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import small_data
from helpers import REPOSITORY
from mnist_lit import Network, environment
from mnist_lit.cli.training import CLI
from mnist_lit.network.architecture import Architecture

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
NETWORKS = sorted((REPOSITORY / "configs" / "networks").glob("*.yaml"))


def resolved(*args: str) -> dict[str, Any]:
    environment.quiet()
    return CLI("fit", [*args, "--trainer.fast_dev_run", "true"]).plain_config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads_and_says_what_for(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    given = yaml.safe_load(text)
    if "--data.dataset DIR" in text:
        folder = Path(given["data"]["dataset"])
        small_data.write_folder(folder, small_data.digits(100, 2), ["A", "B"])
    shutil.copytree(REPOSITORY / "configs", "configs")
    whole = resolved("--config", str(path))
    for group, options in given.items():
        for name, value in options.items():
            if str(value).endswith(".yaml"):
                assert whole[group][name] == Architecture.of(value).plain()
            elif name != "callbacks":
                assert whole[group][name] == value


def test_all_are_there() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"quick", "keras", "full", "early_stopping"} <= names


def test_keras_spells_out_the_defaults() -> None:
    path = REPOSITORY / "configs" / "keras.yaml"
    given, whole, defaults = (
        yaml.safe_load(path.read_text()),
        resolved("--config", str(path)),
        resolved(),
    )
    # By default a network has the dropout of its description, which the notebook's config names.
    rate = whole["model"].pop("dropout")
    assert defaults["model"].pop("dropout") is None
    assert Architecture.of("notebook", dropout=rate) == Architecture.of("notebook")
    assert whole == defaults
    # It names every value of data and model that the notebook fixes.
    elsewhere = {"data_dir", "source", "preprocessing", "image_size", "strict"}
    elsewhere |= {"value_range", "transposed"}
    assert given["data"].keys() == whole["data"].keys() - elsewhere
    assert given["model"].keys() == whole["model"].keys() - {"large", "teacher"} | {"dropout"}
    assert given["trainer"] == {"max_epochs": 50}


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_network_has_as_many_parameters_as_it_says(path: Path) -> None:
    parameters = sum(part.numel() for part in Network(10, network=path).parameters())
    comment = path.read_text().split("\n- ")[0]
    assert comment.startswith("# ") and f"{parameters:,} parameters for 10 classes" in comment
