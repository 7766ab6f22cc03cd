"""The parser of options and configs: safe, and with errors of one line."""

import argparse
import difflib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import set_parsing_settings
from lightning.pytorch import callbacks, loggers
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


# What a message about a class says of the types that it might have been instead.
OTHER_TYPES = ("Expected a", "Not a valid subclass", "Does not validate")


def class_error(message: str) -> InputError | None:
    """Return what is wrong with the arguments of a callback, logger or strategy that was named.

    jsonargparse tells it among all types that the option takes. None if that isn't what is wrong.
    """
    unknown = re.search(
        r'key "trainer\.(callbacks|logger)".*Expected a dot import path string: (\w+)',
        message,
        re.S,
    )
    if unknown:
        module = {"callbacks": callbacks, "logger": loggers}[unknown[1]]
        near = difflib.get_close_matches(unknown[2], module.__all__, n=1)
        remedy = f"did you mean {near[0]}?" if near else "give its class_path"
        subject = f"--trainer.{unknown[1]} {unknown[2]}"
        return InputError(subject, "is no class of Lightning's", remedy)
    named = re.search(r"class_path='(?:\w+\.)*(\w+)'", message)
    if "Subtypes:" not in message or not (named or "NestedArg" in message):
        return None
    for found in re.findall(r"^ +- (.*?)(?=^ +- |^ *Given value|\Z)", message, re.M | re.S):
        cause = re.sub(r": see `[^`]*`$", "", " ".join(found.split()))
        if cause.startswith(OTHER_TYPES):
            continue
        if "is not allowed" in cause:
            return None
        if missing := re.search(r"Requirement '([^']+)' not met", cause):
            name = named[1] if named else ""
            remedy = f'python -m pip install "{missing[1]}"'
            return InputError(name, "needs a package that isn't installed", remedy)
        option = re.match(r'Parser key "([^"]+)"', message)
        words = (f"--{option[1]}" if option else "", named[1] if named else "")
        return InputError(
            " ".join(filter(None, words)) + ":", cause, "see the class's documentation"
        )
    return None


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


# The options that are used most, as the help of `fit`, `validate` and `test` begins.
FIRST = {
    "--config": "a YAML file of options, such as configs/quick.yaml",
    "--name": "the run's name",
    "--ckpt_path": "a checkpoint: `last` of the newest run, or a path",
    "--weights": "start from a checkpoint's weights, or `pretrained`",
    "--seed_everything": "the seed",
    "--data.dataset": "a set, a folder of pictures, an array file, a table",
    "--data.source": "`sample` takes 5,000 images, `full` all or none",
    "--data.val_split": "share of the training images that validates",
    "--data.batch_size": "images in a step",
    "--model.network": "`notebook`, `small`, or a YAML file of layers",
    "--model.lr": "learning rate",
    "--trainer.max_epochs": "epochs",
    "--trainer.accelerator": "`cpu`, `gpu`, `mps`, or what there is",
    "--output": "also write the result to this JSON file",
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

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """Return the help; first, on one screen, the options that are used most."""
        if "--trainer.max_epochs" not in self._option_string_actions:  # of another command
            return str(super().format_help(formatter))
        listed = []
        for option, text in FIRST.items():
            action = self._option_string_actions.get(option)
            if action is None:
                continue
            default = self.get_default(action.dest) if "." in option else action.default
            listed.append((option, text if default is None else f"{text} (default: {default})"))
        screen = "\n".join(f"  {option:<22}{text}" for option, text in listed)
        return (
            f"{self.format_usage()}\nused most:\n{screen}\n\n"
            f"{'All options':-^{len(screen.splitlines()[0])}}\n\n{super().format_help(formatter)}"
        )

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the library's message as an error of one line, in the words of an option's user."""
        if about := class_error(message):
            raise about from ex
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
        meant = ELSEWHERE.get(name.lower().replace("-", "_").rsplit(".", 1)[-1])
        if meant not in options:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            meant = names[near[0]] if near else None
        return f"did you mean --{meant}?" if meant else None
