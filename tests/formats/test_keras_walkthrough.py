"""The walkthrough of docs/keras.md runs as written, and what it prints is there."""

import re
import shlex
from pathlib import Path
from typing import Any

import keras
import pytest

from helpers import REPOSITORY, SHORT, Command

TEXT = (REPOSITORY / "docs" / "keras.md").read_text("utf-8")


@pytest.mark.mnist
@pytest.mark.filterwarnings("ignore")  # what training by Keras warns of is its own
def test_walkthrough(command: Command, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_LIT_DATA_DIR", str(mnist_dir))
    keras.backend.clear_session()
    start = TEXT[: TEXT.index("## What comes over")]
    names: dict[str, Any] = {}
    printed = ""
    for language, block in re.findall(r"```(\w*)\n(.*?)```", start, re.S):
        if language == "python":
            exec(block, names)
        elif language == "sh":
            for line in block.splitlines():
                short = SHORT[2:] if "fit" in line else ()
                answer = command(*shlex.split(line)[3:], *short)
                assert answer.code == 0, answer.err
                printed += answer.out
        else:
            assert not language
            assert all(line in printed for line in block.splitlines()), printed
    assert names["accuracy"] > 0.9
