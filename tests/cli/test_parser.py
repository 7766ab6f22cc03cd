"""The parser of options and configs."""

from pathlib import Path

import pytest

from mnist_lit.cli.parser import Parser, refuse_excess
from mnist_lit.cli.plain import ArgumentParser
from mnist_lit.errors import Argument, InputError


@pytest.fixture
def parser() -> Parser:
    parser = Parser.of("export")
    parser.add_data()
    return parser


def test_given_data(parser: Parser) -> None:
    args = ["--data.batch_size", "64", "--data.strict", "false"]
    assert parser.given_data(args) == {"batch_size": 64, "strict": False}
    assert parser.given_data([]) == {}


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (["--data.batchsize", "3"], "did you mean --data.batch_size?"),
        (["--batch_size=3"], "did you mean --data.batch_size?"),
        (["--batch-size=3"], "did you mean --data.batch_size?"),
        (["--dataset", "letters"], "did you mean --data.dataset?"),
        (["--data.batch_siz", "3"], "did you mean --data.batch_size?"),  # no abbreviation
        (["--data.datasset", "x"], "did you mean --data.dataset?"),
        (["--xyzzy"], "see `python -m mnist_lit export --help`"),
    ],
)
def test_unknown_option(parser: Parser, args: list[str], remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        parser.parse_args(args)
    assert args[0].split("=")[0] in str(caught.value.subject) and caught.value.remedy == remedy


def test_long_errors_are_cut(parser: Parser) -> None:
    with pytest.raises(InputError) as caught:
        parser.parse_args(["--data.batch_size", "x" * 1000])
    assert len(caught.value.line()) < 400


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("data: &a {x: 1}\nmodel: *a\n", "is nested too deep or uses aliases"),
        ("[" * 60 + "]" * 60, "is nested too deep or uses aliases"),
        ("data: [1,\n", "is not YAML"),
    ],
)
@pytest.mark.parametrize("form", ["--config {}", "--config={}"])
def test_config_that_could_hang_the_reader(text: str, problem: str, form: str) -> None:
    Path("a.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        refuse_excess(form.format("a.yaml").split())
    assert caught.value.subject == Argument("config", "a.yaml")
    assert str(caught.value.problem).startswith(problem)


def test_config_without_excess() -> None:
    Path("a.yaml").write_text("data: {batch_size: 3}\n")
    refuse_excess(["--config", "a.yaml", "--config", "none.yaml", "--config=."])


def test_plain_parser_takes_no_abbreviation() -> None:
    parser = ArgumentParser("predict", "")
    parser.add_argument("--output")
    with pytest.raises(InputError) as caught:
        parser.parse_args(["--out", "a.csv"])
    assert caught.value.remedy == "did you mean --output?"
    with pytest.raises(InputError) as caught:
        parser.parse_args(["--xyzzy"])
    assert caught.value.remedy == "see `python -m mnist_lit predict --help`"
