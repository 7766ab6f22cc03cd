"""The two ways in which a command ends badly; each message is one line that names the remedy."""


class InputError(ValueError):
    """The user's input is wrong: an option, a file, a checkpoint (exit code 2)."""


class RunError(RuntimeError):
    """The input was right but the work failed: disk, network, numbers (exit code 1)."""
