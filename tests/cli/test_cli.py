"""The command line around the commands: help, exit codes, signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from helpers import SHORT, Command
from mnist_lit import cli
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.files import atomic_write

PYTHON = (sys.executable, "-m", "mnist_lit")


def run(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(args, capture_output=True, text=True, timeout=120)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mnist_lit.cli import main; assert main(['--help']) == 0;"
        "heavy = {'torch', 'lightning', 'numpy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    answer = run(sys.executable, "-c", code)
    assert (answer.returncode, answer.stderr) == (0, "")
    for name, text in cli.COMMANDS.items():
        assert any(line.split() == [name, *text.split()] for line in answer.stdout.splitlines())


def test_module_and_script_are_the_same() -> None:
    script = str(Path(sys.executable).with_name("mnist-lit"))
    module, installed = run(*PYTHON, "--help"), run(script, "--help")
    assert module.stdout == installed.stdout and module.returncode == installed.returncode == 0


def test_no_command(command: Command) -> None:
    answer = command()
    assert answer.code == 2 and "usage:" in answer.out


def test_version(command: Command) -> None:
    assert command("--version").out.startswith("mnist-lit 0.")


@pytest.mark.parametrize("name, hint", [("tset", "did you mean `test`?"), ("xyz", "one of fit,")])
def test_unknown_command(command: Command, name: str, hint: str) -> None:
    answer = command(name)
    assert answer.code == 2 and answer.out == ""
    assert answer.err == f"error: there is no command `{name}`: {answer.err.split(': ', 2)[2]}"
    assert hint in answer.err


def test_help_of_fit_begins_with_our_options(command: Command) -> None:
    answer = command("fit", "--help")
    assert answer.code == 0
    places = [
        answer.out.index(option)
        for option in ("--name", "--ckpt_path", "--weights", "--data.source", "--model.lr")
    ]
    assert places == sorted(places) and places[-1] < answer.out.index("--trainer.accelerator")
    assert "Images in a training batch." in answer.out  # the docstrings feed it


def test_help_of_fit_is_made_once(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    first = command("fit", "--help")
    screen = first.out.partition("All options")[0].splitlines()
    assert len(screen) <= 24 and max(map(len, screen)) <= 100
    for option in (
        "dataset",
        "network",
        "max_epochs",
        "batch_size",
        "lr",
        "seed",
        "name",
        "ckpt_path",
    ):
        assert any(option in line for line in screen), option
    assert "  --trainer.max_epochs  epochs (default: 50)" in screen
    assert "Default: ``" not in first.out  # beside the one that holds
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return "anew"

    monkeypatch.setattr("mnist_lit.cli.help._made", make)
    assert command("fit", "--help") == first and not made
    assert command("test", "-h").out == "anew" and made == ["test"]
    monkeypatch.setenv("COLUMNS", "60")
    assert command("fit", "--help").out == "anew"


def test_help_without_a_place_to_keep_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").resolve()))
    assert "--data.batch_size" in command("test", "--help").out


def test_kept_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mnist_lit.cli import main; assert main(['fit', '--help']) == 0;"
        "print({'torch', 'lightning', 'jsonargparse', 'numpy'} & set(sys.modules))"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert done.stdout.splitlines()[-1] == "set()"


def test_imports_are_not_searched_for_garbage() -> None:
    code = (
        "import gc, sys\nfrom mnist_lit.cli import main\n"
        "main(['predict', '--help'])\nassert 'torch' in sys.modules\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000, gc.get_stats()[2]['collections'])"
    )
    answer = run(sys.executable, "-c", code)
    assert answer.stdout.splitlines()[-1] == "True True 0"


def test_scipy_is_loaded_by_those_who_use_it() -> None:
    code = (
        "import sys\nfrom mnist_lit.cli import main\nmain(['samples', '--help'])\n"
        "print('torchmetrics' in sys.modules, 'scipy.signal' in sys.modules)\n"
        "import scipy.signal\nprint(scipy.signal.windows.hamming(3).max())"
    )
    assert run(sys.executable, "-c", code).stdout.splitlines()[-2:] == ["True False", "1.0"]


def test_process_ends_without_taking_its_modules_apart() -> None:
    code = (
        "import atexit\nfrom mnist_lit import __main__ as own\n"
        "class Kept:\n    def __del__(self): print('taken apart', flush=True)\n"
        "kept = Kept()\n"
        "def main():\n    atexit.register(print, 'cleaned up')\n    print('done')\n    return 3\n"
        "own.main = main\nown.start()"
    )
    answer = run(sys.executable, "-c", code)
    assert (answer.returncode, answer.stdout) == (3, "done\ncleaned up\n")


def test_debug_shows_the_traceback(command: Command) -> None:
    for option, shown in (((), False), (("--debug",), True)):
        answer = command("test", *option)
        assert answer.code == 2
        assert ("Traceback" in answer.err) is shown
        assert answer.err.splitlines()[-1].startswith("error: there is no run in runs")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize("args", [("--help",), ("predict", "--help")], ids=" ".join)
def test_full_disk_below_the_output_is_one_line(args: tuple[str, ...]) -> None:
    # Without PYTHONUNBUFFERED, the output is written when the command ends.
    surroundings = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [*PYTHON, *args],
            stdout=full, stderr=subprocess.PIPE, text=True, env=surroundings,
        )  # fmt: skip
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: No space left on device: make room")
    assert answer.stderr.count("\n") == 1


def test_full_disk_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = command("fit", "--data.source", "sample", "--trainer.limit_train_batches", 1)
    assert answer.code == 1
    assert answer.err == (
        "error: runs/mnist/version_0/config.yaml: No space left on device: "
        "make room or fix the permissions, and try again\n"
    )


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_a_run_in_order(number: signal.Signals, code: int) -> None:
    arguments = (*PYTHON, "fit", "--data.source", "sample", "--trainer.limit_train_batches", "10")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch  2/50"):
                break
        process.send_signal(number)
        rest = process.stdout.read()
        error = process.stderr.read()
    assert process.returncode == code
    assert rest.count("epoch ") < 10  # it ends soon, not after its 50 epochs
    assert error == (
        f"stopped by {number.name}; finished epochs are kept: "
        "python -m mnist_lit fit --ckpt_path last\n"
    )
    assert not list(Path("runs").rglob("*.tmp"))


def test_signal_while_a_checkpoint_is_written(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's writer then raises an error of its own, of an archive with no end."""

    class Interrupting:
        def __init__(self, file: IO[bytes]) -> None:
            self.file = file
            self.sent = False

        def write(self, content: bytes) -> int:
            if not self.sent:
                self.sent = True
                os.kill(os.getpid(), signal.SIGTERM)
            return self.file.write(content)

    @contextmanager
    def interrupting(path: Path) -> Iterator[Interrupting]:
        with atomic_write(path) as file:
            yield Interrupting(file)

    monkeypatch.setattr(checkpoints, "atomic_write", interrupting)
    answer = command("fit", *SHORT)
    assert answer.code == 143
    assert answer.err == (
        "stopped by SIGTERM in the first epoch; to start it again: "
        "python -m mnist_lit fit --ckpt_path last\n"
    )
    assert not list(Path("runs").rglob("*.ckpt*"))
