"""The command line: `mnist-lit COMMAND …`. A command's module is imported when it is run."""

import difflib
import gc
import os
import signal
import sys
import traceback
from importlib import import_module
from types import FrameType, ModuleType

from mnist_lit import cores
from mnist_lit.cli import console, options
from mnist_lit.errors import Failure, InputError, Interrupted, NotACheckpoint

COMMANDS = {
    "fit": "train the network, or resume a run",
    "validate": "evaluate a checkpoint on its validation images",
    "test": "evaluate a checkpoint on the test images",
    "predict": "read the characters in your own pictures",
    "export": "write a checkpoint as safetensors, ONNX, PT2, Keras or web page, certified",
    "import-keras": "turn a Keras file into a checkpoint",
    "samples": "draw training images with their labels",
    "report": "draw a run's figures again and write its report, or compare runs",
    "doctor": "show versions, device and data files, and what is missing",
}

USAGE = """usage: mnist-lit [--help] [--version] COMMAND [OPTION ...]

The MNIST CNN notebook in PyTorch Lightning.

{commands}

`mnist-lit COMMAND --help` lists a command's options. --debug shows the traceback of an error.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1, 2, 130 or 143."""
    args = sys.argv[1:] if argv is None else argv
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        with console.logged():
            try:
                code = run(*args)
            except SystemExit as error:  # --help
                code = int(error.code or 0)
        print(end="", flush=True)  # here, so that a full disk is an error like others
        return code
    except Interrupted as error:
        console.show_error(f"stopped by {signal.Signals(error.signum).name}{error.hint}")
        return 128 + error.signum
    except BaseException as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, NotACheckpoint):
            error = options.named_if_keras(error)
        console.show_error(f"error: {_one_line(error)}")
        return 2 if isinstance(error, InputError) or _is_misconfiguration(error) else 1


def run(command: str = "", *args: str) -> int:
    """Run one command, or say which there are; return the exit code.

    Raises:
        InputError: There is no such command.
    """
    if command in ("", "-h", "--help"):
        lines = "\n".join(f"  {name:<14}{text}" for name, text in COMMANDS.items())
        print(USAGE.format(commands=lines), end="")
        return 0 if command else 2
    if command == "--version":
        from mnist_lit import __version__

        print(f"mnist-lit {__version__}")
        return 0
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(COMMANDS)}"
        raise InputError(f"there is no command `{command}`", "", hint)
    if command in ("fit", "validate", "test"):
        if args in (("--help",), ("-h",)):
            from mnist_lit.cli import help

            print(help.text(command), end="")
            return 0
        cores.share()  # before torch is loaded
    if command in ("validate", "test"):
        return int(_module("evaluate").evaluate_checkpoint(command, list(args)))
    return int(_module(command.replace("-", "_")).command(list(args)))


def _module(name: str) -> ModuleType:
    """Import a module of this package, in less time than Python would take by itself."""
    name = f"mnist_lit.cli.{name}"
    if name in sys.modules:
        return sys.modules[name]
    # Imports make some 700,000 objects that stay. To search them for garbage again and again while
    # they come, and once more at the end, takes a quarter of a short command's time.
    gc.disable()
    # torchmetrics loads scipy.signal, which takes a second, only to see whether it has `hamming`.
    stand_in = ModuleType("scipy.signal")
    vars(stand_in)["hamming"] = None
    loaded = sys.modules.setdefault(stand_in.__name__, stand_in)
    try:
        module = import_module(name)
        gc.freeze()
        return module
    finally:
        gc.enable()
        if loaded is stand_in:
            del sys.modules[stand_in.__name__]


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # A second signal ends the process at once, while the first one's clean-up is still running.
    signal.signal(signum, lambda *_: os._exit(128 + signum))
    raise Interrupted(signum)


def _is_misconfiguration(error: BaseException) -> bool:
    """Tell whether Lightning refused an option, without importing it to find out."""
    return type(error).__name__ == "MisconfigurationException"


def _one_line(error: BaseException) -> str:
    if isinstance(error, Failure):
        return " ".join(error.line(options.spell).split())
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, BrokenPipeError):
        return "the program that read the output has ended: write the output to a file instead"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}: make room or fix the permissions, and try again"
    if _is_misconfiguration(error):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"
