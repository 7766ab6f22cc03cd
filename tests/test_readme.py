"""The commands in README and docs run as written, in their order and in one folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import small_data
from helpers import REPOSITORY, SHORT, Command
from mnist_lit.data import sample
from mnist_lit.data.catalogue import CATALOGUE

TEXT = (REPOSITORY / "README.md").read_text("utf-8")
DATASETS = (REPOSITORY / "docs" / "datasets.md").read_text("utf-8")


def shell(text: str) -> list[str]:
    """Return the lines of all blocks of shell commands."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line for block in blocks for line in block.splitlines()]


# Indented lines are the two commands of the first screen.
LINES = re.findall(r"^    (make .*)$", TEXT, re.M) + shell(TEXT)
# These tests run in an installation made in the same way.
INSTALLING = ("python3 -m venv", ". .venv/bin/activate", "python -m pip install")


def test_first_two_commands() -> None:
    assert LINES[:2] == ["make fit", "make test"]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_make_target(line: str) -> None:
    _, target, *variables = shlex.split(line)
    answer = subprocess.run(
        ["make", "--dry-run", target, *variables],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {"fit": "-m mnist_lit fit", "test": "-m pytest"}[target]
    assert wanted in answer.stdout
    for variable in variables:
        assert variable.removeprefix("ARGS=") in answer.stdout


def test_commands(command: Command) -> None:
    shutil.copytree(REPOSITORY / "configs", "configs")
    images, _ = sample.load()["test"]
    Image.fromarray(255 - images[0, 0].numpy()).resize((280, 280)).save("photo.jpg")
    small_data.write_folder(Path("letters"), small_data.digits(100, 2), ["A", "B"])
    small_data.write_kaggle(small_data.digits(100, 10), small_data.digits(20, 10, skip=100))
    (network,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    Path("my.yaml").write_text(network)
    ran = 0
    for line in LINES:
        if line.startswith(("make ", *INSTALLING)):
            continue
        program, *args = shlex.split(line)
        if program == "tensorboard":
            assert args == ["--logdir", "runs"] and Path("runs").is_dir()
            assert Path(sys.executable).with_name("tensorboard").is_file()
            continue
        assert (program, args[:2]) == ("python", ["-m", "mnist_lit"]), line
        name, *options = args[2:]
        if name == "fit":
            # Of two values the last counts.
            options += ["--trainer.max_epochs", "2" if "--ckpt_path" in options else "1"]
            if "--data.dataset" in options:
                options += SHORT[2:]
            elif options[:2] != ["--ckpt_path", "last"]:
                options += SHORT
        if (name, options[1:2]) == ("test", ["imported.ckpt"]):
            # A Keras file does not name its data set: it is taken to be MNIST.
            if (data_dir := os.environ.get("MNIST_LIT_TEST_DATA")) is None:
                continue
            options += ["--data.data_dir", data_dir]
        if name == "samples":
            options += ["--data.source", "sample"]
        if name == "doctor":
            options += ["--data.source", "sample"]
        answer = command(name, *options)
        assert (answer.code, answer.err) == (0, ""), line
        assert "no report was drawn" not in answer.out, line
        ran += 1
    assert ran >= 20

    # Each by itself, in a process that has none of the tests' own settings.
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        subprocess.run(
            [sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL
        )


def test_commands_of_datasets(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(REPOSITORY / "configs", "configs")
    small_data.shrink(monkeypatch)
    train, test = small_data.digits(100, 10), small_data.digits(50, 10, skip=100)
    small_data.write_idx(CATALOGUE["fashion"], Path("data"), train, test)
    small_data.write_folder(Path("letters"), small_data.digits(100, 2), ["A", "B"])
    small_data.write_kaggle(train, test)
    given = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    for code in re.findall(r"```python\n(.*?)```", DATASETS, re.S):
        exec(code, given)  # it saves shapes.npz
    lines = shell(DATASETS)
    for line in lines:
        program, *args = shlex.split(line)
        assert (program, args[:2]) == ("python", ["-m", "mnist_lit"]), line
        short = (*SHORT[2:], "--trainer.max_epochs", "1") if args[2] == "fit" else ()
        answer = command(*args[2:], *short)
        assert (answer.code, answer.err) == (0, ""), line
    assert len(lines) == 5


@pytest.mark.parametrize("text, folder", [(TEXT, "."), (DATASETS, "docs")], ids=["readme", "data"])
def test_links_lead_somewhere(text: str, folder: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (REPOSITORY / folder / target).exists(), target


def test_faults_are_tested() -> None:
    text = (REPOSITORY / "docs" / "faults.md").read_text("utf-8")
    missing = []
    for file, name in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text):
        path = REPOSITORY / "tests" / file
        if not path.is_file() or (name and f"def {name}(" not in path.read_text("utf-8")):
            missing.append(f"{file}::{name}" if name else file)
    assert not missing, "docs/faults.md names tests that aren't there:\n" + "\n".join(missing)
