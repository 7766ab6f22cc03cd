"""A plain parser for the commands that do without Lightning's."""

import argparse
from typing import NoReturn

from mnist_lit.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """Python's parser, with errors as InputError and no abbreviations."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"python -m mnist_lit {command}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}: see `{self.prog} --help`")
