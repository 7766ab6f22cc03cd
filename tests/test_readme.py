"""The commands in README and docs run as written, in their order and in one folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

import small_data
from helpers import REPOSITORY, SHORT, Command
from mnist_lit.data import sample
from mnist_lit.data.catalogue import CATALOGUE

DOCS = REPOSITORY / "docs"
TEXT = (REPOSITORY / "README.md").read_text("utf-8")
DATASETS = (REPOSITORY / "docs" / "datasets.md").read_text("utf-8")
EXTENDING = (REPOSITORY / "docs" / "extending.md").read_text("utf-8")
TEACHING = (REPOSITORY / "docs" / "teaching.md").read_text("utf-8")
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *DOCS.glob("*.md")]


def shell(text: str) -> list[str]:
    """Return the lines of all blocks of shell commands."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line for block in blocks for line in block.splitlines()]


LINES = shell(TEXT)
# These tests run in an installation made in the same way.
INSTALLING = ("python3 -m venv", ". .venv/bin/activate", "python -m pip install")


def test_first_screen() -> None:
    """From a fresh clone to a trained network, in the first block of commands."""
    first = shell(TEXT[: TEXT.index("## Install")])
    assert [line.split()[0] for line in first] == ["python3", ".", "python", "python"]
    assert len(TEXT.splitlines()) <= 250


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links(path: Path) -> None:
    """Every link leads to a file of the repository, or to a heading that is in it."""
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|srcset=\"([^\"]+)\"", text):
        address = "".join(target)
        if re.match(r"https?://", address):
            continue
        name, _, heading = address.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), address
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M)
            assert heading in {anchor(found) for found in headings}, address


def anchor(heading: str) -> str:
    """Return the name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(make [a-z-]+)`", TEXT))))
def test_make_target(line: str) -> None:
    target = line.removeprefix("make ")
    answer = subprocess.run(
        ["make", "--dry-run", target],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {"fit": "-m mnist_lit fit", "test": "-m pytest"}[target]
    assert wanted in answer.stdout


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
        if line.startswith(INSTALLING):
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
        answer = command(name, *options)
        assert (answer.code, answer.err) == (0, ""), line
        assert "no report was drawn" not in answer.out, line
        ran += 1
    assert ran >= 15

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


def test_faults_are_tested() -> None:
    text = (REPOSITORY / "docs" / "faults.md").read_text("utf-8")
    missing = []
    for file, name in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text):
        path = REPOSITORY / "tests" / file
        if not path.is_file() or (name and f"def {name}(" not in path.read_text("utf-8")):
            missing.append(f"{file}::{name}" if name else file)
    assert not missing, "docs/faults.md names tests that aren't there:\n" + "\n".join(missing)


@pytest.mark.slow
def test_commands_of_extending(command: Command) -> None:
    shutil.copytree(REPOSITORY / "configs", "configs")
    loop, compare, *others = shell(EXTENDING)
    found = re.fullmatch(r"for seed in ([\d ]+); do python -m mnist_lit (.*); done", loop)
    assert found
    for seed in found[1].split():
        args = shlex.split(found[2].replace("$seed", seed))
        assert command(*args, *SHORT, "--trainer.max_epochs", 1).code == 0
    answer = command(*shlex.split(compare)[3:])
    assert answer.code == 0 and "3 runs differ in the seed alone: test accuracy" in answer.out
    for line in others:
        assert command(*shlex.split(line)[3:], *SHORT, "--trainer.max_epochs", 1).code == 0, line


@pytest.mark.slow
def test_scripts_of_extending_need_no_more_than_they_say(command: Command) -> None:
    shutil.copytree(REPOSITORY / "src" / "mnist_lit", "src/mnist_lit")
    (without,) = re.findall(r"Without (.*?) 8,000 lines", EXTENDING, re.S)
    for name in re.findall(r"`(.*?)`", without):
        path = Path("src/mnist_lit", name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    small_data.write_folder(Path("letters"), small_data.digits(80, 4), ["a", "b", "c", "ж"])
    first, second = re.findall(r"```python\n(.*?)```", EXTENDING, re.S)
    for code, expected in ((first, r"accuracy 0\.9\d+\nF1 0\.9\d+\n"), (second, "epoch 10/10 ")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONPATH": "src"},
        )  # fmt: skip
        assert re.search(expected, done.stdout)
    config = yaml.safe_load(Path("runs/letters/version_0/config.yaml").read_text("utf-8"))
    assert config["data"]["dataset"] == "letters" and config["data"]["preprocessing"] == "mnist"
    answer = command("test")
    assert answer.code == 0 and re.search(r"accuracy +(0\.[5-9]|1\.0)", answer.out)
    answer = command("fit", "--ckpt_path", "last", "--trainer.max_epochs", 11)
    assert (answer.code, answer.err) == (0, "") and "epoch 11/11 " in answer.out


@pytest.mark.slow
def test_commands_of_teaching(command: Command) -> None:
    shutil.copytree(REPOSITORY / "configs", "configs")
    small_data.write_folder(Path("signs"), small_data.digits(100, 5), ["a", "b", "c", "d", "e"])
    networks = re.findall(r"```yaml\n(.*?)```", TEACHING, re.S)
    for name, content in zip(("flat", "dense", "conv"), networks, strict=True):
        Path(f"{name}.yaml").write_text(content)
    for line in shell(TEACHING):
        _, _, _, name, *options = shlex.split(line)
        if name == "fit":
            options += [*SHORT[2:], "--trainer.max_epochs", "1"]
        if "signs" not in options and name in ("fit", "samples"):
            options += ["--data.source", "sample"]
        answer = command(name, *options)
        assert answer.code == 0, answer.err
