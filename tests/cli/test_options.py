"""The options that commands share."""

from pathlib import Path
from typing import Any

import pytest

from mnist_lit.cli import options
from mnist_lit.cli.parser import Parser
from mnist_lit.cli.training import CLI
from mnist_lit.errors import Argument, InputError


@pytest.mark.parametrize(
    ("name", "value", "spelled"),
    [
        ("lr", 0, "--model.lr 0"),
        ("checkpoint", None, "--ckpt_path"),
        ("checkpoint", Path("a b.ckpt"), "--ckpt_path 'a b.ckpt'"),
        ("max_epochs", 3, "--trainer.max_epochs 3"),
        ("dataset", "it's", "--data.dataset 'it'\"'\"'s'"),
        ("strict", True, "--data.strict true"),
        ("formats", ["h5", "onnx"], "--format h5 onnx"),
        ("value_range", [-1, 1], "--data.value_range '[-1, 1]'"),
        ("input_range", (0, 255), "--input_range 0 255"),
        ("name", "", "--name ''"),
        ("model.network", None, "--model.network"),
    ],
)
def test_argument_as_option(name: str, value: Any, spelled: str) -> None:
    assert options.spell(Argument(name, value)) == spelled


def test_every_spelled_option_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    found: set[str] = set()

    def parse(cli: CLI, parser: Parser, args: Any) -> None:
        found.update(parser._option_string_actions)
        raise KeyboardInterrupt

    monkeypatch.setattr(CLI, "parse_arguments", parse)
    for command in ("fit", "test"):
        with pytest.raises(KeyboardInterrupt):
            CLI(command, [])
    assert set(options.OPTIONS.values()) - found == {"--format"}  # of `export` alone


@pytest.mark.parametrize("name", ["a.csv", "folder/new/a.json", "old.csv"])
def test_output_file(name: str) -> None:
    Path("old.csv").touch()
    assert options.output_file(name, (".csv", ".json")) == Path(name)
    assert sorted(path.name for path in Path().iterdir()) == ["old.csv"]


def test_no_output_file() -> None:
    assert options.output_file(None, (".csv",)) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is a folder"),
        ("folder.csv", "is a folder"),
        ("a.txt", "has the wrong ending"),
        ("a", "has the wrong ending"),
        ("link.csv", "is not a plain file"),
        ("dangling.csv", "is not a plain file"),
        ("file.csv/a.csv", "would lie inside the file file.csv"),
        ("file.csv/b/a.csv", "would lie inside the file file.csv"),
    ],
)
def test_refused_output_file(name: str, problem: str) -> None:
    Path("folder.csv").mkdir()
    Path("file.csv").touch()
    Path("link.csv").symlink_to("file.csv")
    Path("dangling.csv").symlink_to("nothing.csv")
    with pytest.raises(InputError) as caught:
        options.output_file(name, (".csv", ".json"), "show")
    assert caught.value.subject == Argument("show", name)
    assert caught.value.problem == problem


def test_device_is_no_output_file() -> None:
    with pytest.raises(InputError) as caught:
        options.output_file("/dev/null", ("",))
    assert caught.value.problem == "is not a plain file"


def test_output_folder() -> None:
    Path("there").mkdir()
    Path("link").symlink_to("there")
    Path("file").touch()
    for name in ("there", "link", "new/folder", "."):
        assert options.output_folder(name) == Path(name)
    for name, problem in (("file", "is a file"), ("file/x", "would lie inside the file file")):
        with pytest.raises(InputError) as caught:
            options.output_folder(name)
        assert (caught.value.subject, caught.value.problem) == (Argument("output", name), problem)
