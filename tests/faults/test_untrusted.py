"""Untrusted files: nothing in them runs, time and memory stay bounded, the error is a line."""

import io
import resource
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import SHORT, Command
from mnist_lit.training.module import MNISTModule

CANARY = Path("canary")


@pytest.fixture(autouse=True)
def bounded() -> Any:
    """Ten seconds and 300 MB are enough to refuse anything."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    assert time.monotonic() - started < 20
    assert not CANARY.exists()


def refused(command: Command, *args: object) -> str:
    answer = command(*args)
    assert answer.code == 2 and answer.err.startswith("error: ") and answer.err.count("\n") == 1
    return answer.err


def checkpoint(**changes: Any) -> dict[str, Any]:
    module = MNISTModule()
    values = dict(module.hparams) | changes
    return {"state_dict": module.state_dict(), "hyper_parameters": values, "epoch": 0}


@pytest.mark.parametrize(
    "trick",
    [
        {"_class_path": "os.system"},
        {"_instantiator": "lightning.pytorch.cli.instantiate_module"},
        {"_instantiator": "os.system", "_class_path": "touch canary"},
        {"network": "os.system"},
        {"class_names": ["x"] * 3},
    ],
    ids=str,
)
def test_class_path_in_a_checkpoint(command: Command, trick: dict[str, Any]) -> None:
    torch.save(checkpoint(**trick), "bad.ckpt")
    refused(command, "test", "--ckpt_path", "bad.ckpt", "--data.source", "sample")
    # What needs the network alone looks at nothing else in the file.
    options = ("--format", "h5", "--data.source", "sample")
    answer = command("export", "--ckpt_path", "bad.ckpt", *options)
    assert answer.code == (2 if trick.keys() & {"network", "class_names"} else 0)


def test_bomb_in_a_checkpoint(command: Command) -> None:
    content = io.BytesIO()
    torch.save(checkpoint(), content)
    with (
        zipfile.ZipFile(content) as good,
        zipfile.ZipFile("bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bad,
    ):
        for name in good.namelist():
            bad.writestr(name, good.read(name))
        with bad.open("archive/data/bomb", "w", force_zip64=True) as file:
            for _ in range(1000):
                file.write(bytes(1_000_000))
    assert "bomb.ckpt is not a whole checkpoint" in refused(
        command, "test", "--ckpt_path", "bomb.ckpt"
    )


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("trainer: {callbacks: [{class_path: os.system, init_args: {command: touch canary}}]}", ""),
        ("trainer: {callbacks: [{class_path: subprocess.Popen, init_args: {args: ls}}]}", ""),
        ("trainer: {logger: {class_path: builtins.exec}}", ""),
        ("trainer: !!python/object/apply:os.system ['touch canary']", ""),
        ("data: " + "{a: " * 1000 + "1" + "}" * 1000, "nested too deep"),
        ("data: " + "[" * 100_000, "nested too deep"),
        ("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]", "uses aliases"),
        ("# " + "x" * 2_000_000, "is larger than 1 MB"),
    ],
    ids=["callback", "process", "logger", "tag", "deep", "unclosed", "aliases", "large"],
)
def test_config(command: Command, line: str, part: str) -> None:
    Path("bad.yaml").write_text(line)
    for args in (("--config", "bad.yaml"), ("--config=bad.yaml",)):
        assert part in refused(command, "fit", *SHORT, *args)
    assert not Path("runs").exists()


def test_config_of_100_megabytes(command: Command) -> None:
    with Path("bad.yaml").open("wb") as file:
        file.truncate(100_000_000)
    assert "is larger than 1 MB" in refused(command, "fit", "--config", "bad.yaml")


@pytest.mark.parametrize("name", ["-x.ckpt", "new\nline.ckpt", "\x1b[2Jx.ckpt", "é\udcff.ckpt"])
def test_names(command: Command, name: str) -> None:
    Path(name).write_bytes(b"no checkpoint")
    error = refused(command, "test", f"--ckpt_path={name}")
    assert "is not a whole checkpoint" in error and "\x1b" not in error
