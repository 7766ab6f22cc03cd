"""How a command ends early; each message is one line that names the remedy."""


def printable(text: str) -> str:
    """Return `text` with what could move a terminal's cursor, or is no character, spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class InputError(ValueError):
    """The user's input is wrong: an option, a file, a checkpoint (exit code 2)."""


class RunError(RuntimeError):
    """The input was right but the work failed: disk, network, numbers (exit code 1)."""


class Interrupted(BaseException):
    """A signal asked the process to end; no Exception, so that nothing takes it for a fault."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.hint = ""  # what the user is told of what is kept
