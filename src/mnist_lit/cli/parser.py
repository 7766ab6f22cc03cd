"""The parser of options and configurations: safe, and with errors of one line."""

import difflib
import itertools
import os
import re
from collections.abc import Sequence
from typing import NoReturn

import yaml
from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from mnist_lit.errors import InputError

# A configuration may come from a stranger: it names classes, and naming one imports its module.
ALLOWED_IMPORTS = ["mnist_lit", "lightning.pytorch", "torch.optim"]
set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=ALLOWED_IMPORTS)


MAX_CONFIG = 1_000_000  # bytes; a run's own has two thousand
MAX_DEPTH = 50


def refuse_excess(args: Sequence[str]) -> None:
    """Refuse configuration files that would take a YAML reader minutes or exhaust its stack.

    Raises:
        InputError: A file is too large, nested too deep, or multiplies itself by aliases.
    """
    given = [after for arg, after in itertools.pairwise(args) if arg == "--config"]
    given += [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
    for name in filter(os.path.isfile, given):
        if os.stat(name).st_size > MAX_CONFIG:  # noqa: PTH116 the name may be anything
            raise InputError(f"--config {name} is larger than a configuration can be: name another")
        depth = 0
        try:
            with open(name, encoding="utf-8") as file:  # noqa: PTH123
                for event in yaml.parse(file, yaml.SafeLoader):
                    depth += isinstance(event, yaml.CollectionStartEvent)
                    depth -= isinstance(event, yaml.CollectionEndEvent)
                    if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
                        raise InputError(
                            f"--config {name} is nested too deep or uses aliases: write it plainly"
                        )
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(
                f"--config {name} is not YAML ({what}): mend the line, or see configs/keras.yaml"
            ) from error


class Parser(LightningArgumentParser):
    """Lightning's parser; its errors are one line, with the nearest option for an unknown one."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(message.replace("typing.", "").split())
        denied = re.search(r"Importing '([^']+)' is not allowed", line)
        line = re.sub(r'Parser key "([^"]+)":', r"--\1:", line)
        line = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", line)
        line = re.sub(
            r"Does not validate against any .*Subtypes: \[(.*)\] Errors:.* Given value: (.*)",
            r"\2 is none of \1",
            line,
        )
        line = line.replace("NoneType", "null")
        remedy = f"see `{self.prog} --help`"
        if denied:
            line = f"class_path {denied[1]} is not allowed in a configuration"
            remedy = f"name a class of {', '.join(ALLOWED_IMPORTS)}"
        elif unknown := re.search(r"unrecognized arguments: (\S+)|option '(\S+)'", line, re.I):
            name = next(filter(None, unknown.groups()))
            if name.startswith("-") or unknown[2]:
                remedy = self._nearest(name.split("=")[0].lstrip("-")) or remedy
        elif line.startswith("Unexpected config"):
            line = f"--config holds no table of options: {line[18:] or 'it is empty'}"
            remedy = "write such as `data: {batch_size: 64}`"
        elif "File does not exist" in line or "Path is not a file" in line:
            remedy = "give the path of a YAML file"
        raise InputError(f"{line if len(line) < 300 else line[:300] + '...'}: {remedy}") from ex

    def _nearest(self, name: str) -> str | None:
        """Say which option `name` may have meant, with its group or without."""
        options = {option.lstrip("-") for option in self._option_string_actions}
        names = {option.rsplit(".", 1)[-1]: option for option in options} | {o: o for o in options}
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        return f"did you mean --{names[near[0]]}?" if near else None
