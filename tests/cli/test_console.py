"""What reaches the terminal besides a command's own results."""

import logging
import sys

import pytest
from tqdm import tqdm

from mnist_lit.cli import console

log = logging.getLogger("mnist_lit")


def test_messages_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with console.logged():
        log.info("taking the last")
        log.warning("classes are \x1b[31munbalanced")
        log.debug("nobody needs this")
    log.warning("after the command")
    answer = capsys.readouterr()
    assert answer.out == "taking the last\n"
    assert answer.err == "warning: classes are \\x1b[31munbalanced\n"


def test_box(capsys: pytest.CaptureFixture[str]) -> None:
    with console.logged():
        log.warning("this is a sample\n" + "word " * 40 + "\nthe end")
    answer = capsys.readouterr()
    lines = answer.err.splitlines()
    assert answer.out == "" and {len(line) for line in lines} == {console.WIDTH + 4}
    assert lines[0] == lines[-1] and lines[1].startswith("| WARNING: this is a sample ")
    assert lines[-2].startswith("| the end ") and len(lines) == 7


def test_message_above_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    bar = tqdm(total=10, file=sys.stderr, ascii=True, ncols=40, mininterval=0)
    with console.logged(), bar:
        bar.update(3)
        log.warning("look")
        bar.update(3)
    before, after = capsys.readouterr().err.split("warning: look\n")
    # The bar's line is blank when the message is written, and the bar is drawn again below it.
    assert before.endswith(" " * 40 + "\r") or before.endswith("\r")
    assert before.rsplit("\r", 2)[1].strip() == "" and "60%" in after


def test_error_after_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    bar = tqdm(total=10, file=sys.stderr, ascii=True, ncols=40, mininterval=0)
    bar.update(3)
    console.show_error("error: over")
    assert bar.disable  # closed
    last = capsys.readouterr().err.split("\r")[-1]
    assert last == "error: over\n"
