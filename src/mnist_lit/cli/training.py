"""The options of `fit`, `validate` and `test`: Lightning's command line under the resume rule."""

import enum
import glob
import re
import shlex
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.cli.options import checkpoint_help
from mnist_lit.cli.parser import Parser, class_error, refuse_excess
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import LINKED, MNISTDataModule
from mnist_lit.errors import Argument, InputError, listed
from mnist_lit.network.architecture import Architecture
from mnist_lit.network.named import NAMED
from mnist_lit.runs import finding
from mnist_lit.runs.run import Run
from mnist_lit.training import resume
from mnist_lit.training.module import MNISTModule
from mnist_lit.training.progress import Starvation, TrainingProgress
from mnist_lit.training.recorder import Recorder
from mnist_lit.training.run_logger import RunLogger
from mnist_lit.training.saving import SafeCheckpointIO, saving

OBJECT = object()  # in place of what isn't plain


class CLI(LightningCLI):
    """One command's parser and objects; `fit`, `validate` and `test` share the configuration.

    After construction `trainer`, `model` and `datamodule` are ready, and

    - `root` is the folder of all runs,
    - `command_line` is what the user typed,
    - `run` is the run that `fit` resumes, if any,
    - `checkpoint` is what the command starts from, if anything,
    - `recorder` keeps a training's records, if the command trains.

    Args:
        command: `fit`, `validate` or `test`.
        args: What follows the command.

    Raises:
        InputError: An option, or a file that one names, is wrong.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.command_line = shlex.join(["python", "-m", "mnist_lit", command, *args])
        self.run: Run | None = None
        self.checkpoint: Checkpoint | None = None
        self.recorder: Recorder | None = None
        prog = f"python -m mnist_lit {command}"
        super().__init__(
            MNISTModule,
            MNISTDataModule,
            save_config_callback=None,
            trainer_defaults={
                "max_epochs": 50,
                # The run's folder holds the records; a logger given here comes on top.
                "logger": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                # The data module's samplers know their process.
                "use_distributed_sampler": False,
            },
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={
                "prog": prog,
                "usage": f"{prog} [--config FILE] [OPTION ...]",
                "description": "",
            },
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        def option(name: str, text: str) -> None:
            parser.add_argument(name, type=str | None, help=text)

        if self.command == "fit":
            option("--name", "the run's name (by default the data set's)")
            option("--ckpt_path", "resume from a checkpoint: `last` of the newest run, or a path")
            option("--weights", "start from the weights of this checkpoint, or `pretrained` ones")
        else:
            option("--ckpt_path", checkpoint_help())
            option("--output", "also write the result to this JSON file")
        option("--runs", "folder of all runs (default: `runs` in --trainer.default_root_dir)")
        super().add_default_arguments_to_parser(parser)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # Lightning puts the trainer's dozens of options first; help is read from the top.
        parser.add_lightning_class_args(MNISTDataModule, "data")
        parser.add_lightning_class_args(MNISTModule, "model")
        parser.add_lightning_class_args(pl.Trainer, "trainer")
        # Optional[Union[int, float]] and its mirror image are one to Python's cache of types, so
        # that a limit of 1 batch could be read as 1.0, all of them.
        action: Any
        for action in parser._actions:
            if getattr(action, "_typehint", None) == int | float | None:
                action._typehint = int | float | None
            if action.dest.startswith("trainer."):
                # Lightning's texts name its own defaults; the parser adds those that hold here.
                action.help = re.sub(
                    r"\s*Defaults?(?: to)?:?\s+``[^`]*``\.?", "", action.help or ""
                )
        defaults = {f"trainer.{name}": value for name, value in self.trainer_defaults.items()}
        defaults["data.data_dir"] = datasets.default_data_dir()
        parser.set_defaults(defaults)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for argument, name in LINKED.items():
            parser.link_arguments(f"data.{name}", f"model.{argument}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        refuse_excess(args)
        try:
            parsed = parser.parse_args(args, defaults=False)
            given = parsed.as_dict()
            given.pop("config", None)
            folder = given.get("trainer", {}).get("default_root_dir")
            self.root = Path(given.get("runs") or Path(folder or ".") / "runs")
            base = parser.parse_object(self._base(given))
            self.config = parser.parse_args(args, namespace=base)
        except (UnicodeDecodeError, RecursionError, OSError) as error:
            raise InputError(
                Argument("config"), f"can't be read as YAML ({error})", "fix the file"
            ) from error
        seed = self.config.seed_everything
        if not 0 <= seed < 2**32:
            raise InputError(
                Argument("seed_everything", seed), "is out of range", "give 0 to 2**32 - 1"
            )
        # A file's list of layers becomes part of the configuration, which then repeats the run.
        network = self.config.model.network
        if isinstance(network, str) and network not in NAMED:
            self.config.model.network = Architecture.of(network).plain()

    def _base(self, given: dict[str, Any]) -> dict[str, Any]:
        """Find what the command starts from; return the configuration that follows."""
        which = given.get("ckpt_path")
        if self.command != "fit":
            self.checkpoint = self._read(finding.find_checkpoint(which, self.root))
            return resume.plan_evaluation(given, self.checkpoint)
        if not which:
            path = given.get("weights")
            if path is None or "network" in given.get("model", {}):
                return {}
            return {"model": {"network": checkpoints.read(path).network.name_or_plain()}}
        if given.get("weights"):
            raise InputError(
                Argument("weights"),
                ("starts a new run and", Argument("checkpoint"), "resumes one"),
                "give one of them",
            )
        if which == "last":
            self.run = finding.newest(self.root)
            _refuse_another(given.get("name"), self.run, self.root)
            if not self.run.last.is_file():  # stopped in its first epoch
                return resume.plan_restart(given, self.run.read_config(), self.run.config)
            path = self.run.last
        else:
            path = Path(which)
            # Only the last epoch is resumed in place: the run's later records would contradict
            # an older one.
            if path.name == "last.ckpt":
                self.run = finding.run_of(path)
        self.checkpoint = self._read(path)
        config = self.run.read_config() if self.run else None
        return resume.plan_resume(given, self.checkpoint, run=config)

    def _read(self, path: Path) -> Checkpoint:
        try:
            return checkpoints.read(path)
        except InputError as error:
            whole = finding.newest_whole(path) if path.is_file() else None
            if whole is None:
                raise
            raise InputError(
                error.subject, error.problem, f"the newest whole one is {whole}"
            ) from error

    def plain_config(self) -> dict[str, Any]:
        """Return the whole configuration as nested dictionaries of plain values."""
        text = self.parser.dump(_plain(self.config), skip_unset=False, skip_validation=True)
        plain: dict[str, Any] = yaml.safe_load(text)
        plain.pop("config", None)
        return plain | {"ckpt_path": None, "runs": None}

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise class_error(str(error)) or error from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self.config_init["trainer"]
        added: list[pl.Callback] = []
        if config["enable_progress_bar"] is not False:
            added.append(TrainingProgress())
        if self.command == "fit" and not config["fast_dev_run"]:
            added += self._records(config)
        if re.search("spawn|fork|notebook", str(config["strategy"])):
            raise InputError(
                Argument("trainer.strategy", config["strategy"]),
                "starts processes that do not know the command line",
                "use ddp",
            )
        if self.recorder and config["logger"] is not True:
            folder = config["default_root_dir"] or str(Path.cwd())
            given = config["logger"] or []
            given = list(given) if isinstance(given, list | tuple) else [given]
            config = {**config, "logger": [RunLogger(self.recorder, folder), *given]}
        plugins = config["plugins"] or []
        plugins = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
        config = {**config, "plugins": [*plugins, SafeCheckpointIO()], **kwargs}
        try:
            return self._instantiate_trainer(config, added)
        except (ValueError, TypeError, MisconfigurationException) as error:
            what = " ".join(str(error).split())
            raise InputError(
                "the trainer", f"refuses its options ({what})", "see `--help`"
            ) from error

    def _records(self, config: Any) -> list[pl.Callback]:
        """Return the callbacks that record and save a training."""
        for option in ("max_epochs", "max_steps", "limit_train_batches", "limit_test_batches"):
            if config[option] == 0:
                raise InputError(
                    Argument(f"trainer.{option}", 0),
                    "leaves nothing to do",
                    "give more, or leave it out",
                )
        name = self.config.name
        name = run_name(datasets.run_name(self.config.data.dataset) if name is None else name)
        self.recorder = Recorder(
            self.root,
            name,
            self.plain_config() | {"name": name},
            run=self.run,
            resumed=self.checkpoint.path if self.checkpoint else None,
        )
        return [self.recorder, Starvation(), *saving(self.recorder)]


def refuse_other(checkpoint: Checkpoint, data: MNISTDataModule) -> None:
    """Raise InputError where the data can't be of what the checkpoint was trained on."""
    problem = ""
    if data.class_names != checkpoint.class_names:
        problem = (
            f"knows the classes {listed(checkpoint.class_names)}, and {data.name} has "
            f"{listed(data.class_names)}"
        )
    elif data.image_size != checkpoint.image_size:
        problem = (
            f"takes images of {checkpoint.image_size}×{checkpoint.image_size} pixels, and "
            f"{data.name} has {data.image_size}×{data.image_size}"
        )
    if problem:
        remedy = ("name the data it was trained on by", Argument("dataset"))
        raise InputError(checkpoint.path, problem, remedy)


def _refuse_another(name: str | None, newest: Run, root: Path) -> None:
    """Raise InputError where `last` was meant to be the last of the run's name that was given."""
    if name is None or name == newest.folder.parent.name:
        return
    own = root.glob(f"{glob.escape(name)}/version_*/checkpoints/last.ckpt")
    meant = max(own, key=lambda path: path.stat().st_mtime_ns, default=None)
    raise InputError(
        Argument("checkpoint", "last"),
        ("is of the newest run, which is", str(newest), "and not", Argument("name", name)),
        ("give", Argument("checkpoint", str(meant)))
        if meant
        else ("leave", Argument("name"), "out"),
    )


def _plain(value: Any) -> Any:
    """Return a configuration without defaults that are objects, such as `torch.device("cpu")`.

    No text in their place could be read back.
    """
    if isinstance(value, Namespace):
        parts = {key: _plain(each) for key, each in vars(value).items()}
        return Namespace({key: each for key, each in parts.items() if each is not OBJECT})
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, enum.Enum):
        return value.value
    return value if isinstance(value, str | int | float | Path | None) else OBJECT


def run_name(name: str) -> str:
    """Return the name if it can be a folder's, else raise InputError."""
    if not re.fullmatch(r"[^\s/\\.\-][^/\\\0\n]*", name):
        raise InputError(
            Argument("name", name), "can't be a folder's name", "give one such as `baseline`"
        )
    return name
