"""The parser of options and configs: safe, and with errors of one line."""

import difflib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import Argument, InputError
from mnist_lit.files import check_yaml

# A config may be untrusted: it names classes, and naming one imports its module.
ALLOWED_IMPORTS = ["mnist_lit", "lightning.pytorch", "torch.optim"]
set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=ALLOWED_IMPORTS)


def refuse_excess(args: Sequence[str]) -> None:
    """Refuse configs that would take a YAML reader minutes or exhaust its stack.

    Raises:
        InputError: A file isn't YAML, is too large, nested too deep, or multiplies itself.
    """
    given = [after for arg, after in itertools.pairwise(args) if arg == "--config"]
    given += [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
    for name in filter(os.path.isfile, given):
        try:
            check_yaml(name)
        except InputError as error:
            subject = Argument("config", name)
            raise InputError(subject, error.problem, error.remedy) from error


# What other tools call it, and the options here that do it.
ELSEWHERE = {
    "epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "lr": "model.lr",
    "learning_rate": "model.lr",
    "batch_size": "data.batch_size",
    "device": "trainer.accelerator",
    "gpu": "trainer.accelerator",
    "gpus": "trainer.devices",
    "cuda": "trainer.accelerator",
    "checkpoint": "ckpt_path",
    "ckpt": "ckpt_path",
    "model": "model.network",
    "network": "model.network",
    "data": "data.dataset",
    "dataset": "data.dataset",
    "seed": "seed_everything",
    "out": "output",
}


class Parser(LightningArgumentParser):
    """Lightning's parser without abbreviations.

    Its errors are one line, with the option that was probably meant for an unknown one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    @classmethod
    def of(cls, command: str) -> "Parser":
        """Return a command's parser, which has no options yet."""
        return cls(prog=f"python -m mnist_lit {command}", description="")

    def add_data(self) -> None:
        """Add the options of a data set, `--data.*`."""
        self.add_lightning_class_args(MNISTDataModule, "data")

    def given_data(self, args: Sequence[str]) -> dict[str, Any]:
        """Return the options `--data.*` that the user gave, without the defaults of the others."""
        given: dict[str, Any] = self.parse_args(list(args), defaults=False).as_dict()
        return dict(given.get("data") or {})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the library's message as an error of one line, in the words of an option's user."""
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
            line = f"class_path {denied[1]} is not allowed in a config"
            remedy = f"name a class of {', '.join(ALLOWED_IMPORTS)}"
        elif unknown := re.search(r"unrecognized arguments: (\S+)|option '(\S+)'", line, re.I):
            name = next(filter(None, unknown.groups()))
            if name.startswith("-") or unknown[2]:
                remedy = self._nearest(name.split("=")[0].lstrip("-")) or remedy
            elif "--ckpt_path" in self._option_string_actions and Path(name).exists():
                remedy = f"a checkpoint is given as --ckpt_path {name}"
        elif line.startswith("Unexpected config"):
            line = f"--config holds no table of options: {line[18:] or 'it is empty'}"
            remedy = "write such as `data: {batch_size: 64}`"
        elif "File does not exist" in line or "Path is not a file" in line:
            remedy = "give the path of a YAML file"
        raise InputError(line if len(line) < 300 else line[:300] + "...", "", remedy) from ex

    def _nearest(self, name: str) -> str | None:
        """Return which option `name` may have meant, with its group or without."""
        options = {option.lstrip("-") for option in self._option_string_actions}
        names = {option.rsplit(".", 1)[-1]: option for option in options} | {o: o for o in options}
        meant = ELSEWHERE.get(name.lower().replace("-", "_"))
        if meant not in options:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            meant = names[near[0]] if near else None
        return f"did you mean --{meant}?" if meant else None
