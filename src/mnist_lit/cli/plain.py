"""A parser for the commands that do without Lightning's, so that they start fast."""

import argparse
import difflib
from typing import NoReturn

from mnist_lit.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """Python's parser without abbreviations; its errors are InputError."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"python -m mnist_lit {command}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        remedy = f"see `{self.prog} --help`"
        _, is_unknown, given = message.partition("unrecognized arguments: ")
        if is_unknown:
            name = given.split()[0].split("=")[0]
            near = difflib.get_close_matches(name, self._option_string_actions, n=1)
            remedy = f"did you mean {near[0]}?" if near else remedy
        raise InputError(message, "", remedy)
