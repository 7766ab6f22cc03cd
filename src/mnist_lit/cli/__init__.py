"""The command line: `mnist-lit COMMAND …`. Heavy imports stand inside the commands."""

import os
import signal
import sys
import traceback
from types import FrameType

from mnist_lit.errors import InputError, Interrupted, printable

COMMANDS = {
    "fit": "train the network, or go on with a run",
    "validate": "evaluate a checkpoint on its validation images",
    "test": "evaluate a checkpoint on the test images",
    "predict": "tell the digits in your own pictures",
    "export": "write a checkpoint as ONNX, PT2, Keras or safetensors file or web page, certified",
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


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # A second signal does not wait for the first one's tidying up.
    signal.signal(signum, lambda *_: os._exit(128 + signum))
    raise Interrupted(signum)


def run(command: str, args: list[str]) -> int:
    """Run one command; return its exit code."""
    if command == "doctor":
        from mnist_lit.cli.doctor import doctor

        return doctor(args)
    if command == "predict":
        from mnist_lit import prediction

        return prediction.command(args)
    if command == "export":
        from mnist_lit.formats import export as certificate

        return certificate.command(args)
    if command == "import-keras":
        from mnist_lit.formats import import_keras as importing

        return importing.command(args)
    if command == "samples":
        from mnist_lit.cli import samples

        return samples.command(args)
    if command == "report":
        from mnist_lit.report import report

        return report.command(args)
    from mnist_lit.cli import fit as training

    return training.fit(args) if command == "fit" else training.evaluate(command, args)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1, 2, 130 or 143."""
    args = sys.argv[1:] if argv is None else argv
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    if not args or args[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:<14}{text}" for name, text in COMMANDS.items())
        print(USAGE.format(commands=lines), end="")
        return 0 if args else 2
    if args[0] == "--version":
        from mnist_lit import __version__

        print(f"mnist-lit {__version__}")
        return 0
    command, *args = args
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        if command not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(command, COMMANDS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(COMMANDS)}"
            raise InputError(f"there is no command `{command}`: {hint}")
        return run(command, args)
    except Interrupted as error:
        print(f"stopped by {signal.Signals(error.signum).name}{error.hint}", file=sys.stderr)
        return 128 + error.signum
    except SystemExit as error:  # --help
        return int(error.code or 0)
    except BaseException as error:
        if debug:
            traceback.print_exc()
        print(printable(f"error: {_one_line(error)}"), file=sys.stderr)
        return 2 if isinstance(error, InputError) or _is_misconfiguration(error) else 1


def _is_misconfiguration(error: BaseException) -> bool:
    """Tell whether Lightning refused an option, without importing it to find out."""
    return type(error).__name__ == "MisconfigurationException"


def _one_line(error: BaseException) -> str:
    from mnist_lit.errors import RunError

    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, BrokenPipeError):
        return "whoever read the output went away: write it to a file instead"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}: make room or mend the permissions, and try again"
    if isinstance(error, InputError | RunError) or _is_misconfiguration(error):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"
