"""A parser for the commands that do without Lightning's, so that they start fast."""

import argparse
from typing import NoReturn

from mnist_lit.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """Python's parser without abbreviations; its errors are InputError."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"python -m mnist_lit {command}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(message, "", f"see `{self.prog} --help`")
