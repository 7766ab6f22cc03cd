"""The options of `fit`, `validate` and `test`: LightningCLI, and the resume rule."""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli.parser import Parser, refuse_excess
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError
from mnist_lit.runs import run as runs
from mnist_lit.training import recorder as callbacks
from mnist_lit.training.module import MNISTModule
from mnist_lit.training.progress import TrainingProgress

# Options of the module that follow from the data set.
LINKED = {"dataset", "class_names", "num_classes", "preprocessing"}
# Options of the trainer that a schedule of the learning rate depends on.
LENGTH = {"max_epochs", "max_steps", "limit_train_batches", "accumulate_grad_batches"}


class CLI(LightningCLI):
    """One command's parser and objects; `fit`, `validate` and `test` share the configuration.

    After construction `trainer`, `model` and `datamodule` stand ready, and

    - `checkpoint` is the file that the command starts from, if any,
    - `content` is what that file holds, and `epochs_done` is how long it was trained,
    - `run` is the run that `fit` goes on with, if any,
    - `recorder` is what keeps a training's records, if the command trains.

    Args:
        command: `fit`, `validate` or `test`.
        args: What follows the command.

    Raises:
        InputError: An option, or a file that one names, is wrong.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.run: runs.Run | None = None
        self.checkpoint: Path | None = None
        self.content: dict[str, Any] = {}
        self.epochs_done = 0
        self.recorder: callbacks.Recorder | None = None
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
            option("--ckpt_path", "go on from a checkpoint: `last` of the newest run, or a path")
            option("--weights", "start from the weights of this checkpoint, or `pretrained` ones")
        else:
            option(
                "--ckpt_path",
                "`best` (default) or `last` of the newest run, `pretrained`, or a path",
            )
            option("--output", "also write the result to this JSON file")
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
        defaults = {f"trainer.{name}": value for name, value in self.trainer_defaults.items()}
        parser.set_defaults(defaults)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.name", "model.dataset", apply_on="instantiate")
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")
        parser.link_arguments("data.class_names", "model.num_classes", len, apply_on="instantiate")
        parser.link_arguments("data.preprocessing", "model.preprocessing", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        refuse_excess(args)
        try:
            self.config = parser.parse_args(args)
        except (UnicodeDecodeError, RecursionError, OSError) as error:
            raise InputError(f"--config cannot be read as YAML: {error}") from error
        seed = self.config.seed_everything
        if not 0 <= seed < 2**32:
            raise InputError(f"--seed_everything {seed} must be at least 0 and below 2**32")
        self.root = Path(self.config.trainer.default_root_dir or ".") / "runs"
        explicit = parser.parse_args(args, defaults=False).as_dict()
        explicit.pop("config", None)
        if self.command == "fit":
            base = self._resumed(explicit) if self.config.ckpt_path else None
        else:
            base = self._evaluated(explicit)
        if base:
            data = datasets.recorded_options(self.content | {"config": base}, explicit.get("data"))
            with _as_file(base | {"data": data}) as file:
                self.config = parser.parse_args(["--config", file, *args])

    def _resumed(self, explicit: Mapping[str, Any]) -> dict[str, Any]:
        """Find what `fit` goes on with; return the configuration behind it."""
        ckpt_path = self.config.ckpt_path
        if explicit.get("weights"):
            raise InputError(
                "--weights starts a new run and --ckpt_path goes on with one: give one of them"
            )
        if ckpt_path == "last":
            self.run = runs.newest(self.root)
            if not self.run.last.is_file():  # stopped in its first epoch
                base = self.run.read_config()
                refuse_differences(base, explicit, {"trainer", "ckpt_path"}, self.run.config)
                return base
            self.checkpoint = self.run.last
        else:
            self.checkpoint = Path(ckpt_path)
            # Only the last epoch goes on in place: the run's later records would contradict
            # an older one.
            if self.checkpoint.name == "last.ckpt":
                self.run = runs.run_of(self.checkpoint)
        # In a run of its own, a new name contradicts nothing.
        base = self._recorded(explicit, {"trainer"} | (set() if self.run else {"name"}))
        if base["model"].get("schedule", "constant") != "constant":
            trainer = explicit.get("trainer", {})
            length = {name: trainer[name] for name in LENGTH & trainer.keys()}
            refuse_differences(base, {"trainer": length}, set(), self.checkpoint)
        return base

    def _evaluated(self, explicit: Mapping[str, Any]) -> dict[str, Any]:
        """Find the checkpoint to evaluate; return what its configuration says of data and model."""
        self.checkpoint = runs.find_checkpoint(self.config.ckpt_path, self.root)
        of_data = ("dataset", "source", "data_dir", "preprocessing", "strict", "batch_size")
        free = {"trainer", "output", *(f"data.{name}" for name in of_data)}
        base = self._recorded(explicit, free)
        # Of the trainer's options only the precision is evaluation's too: figures come out as in
        # training.
        kept = {key: base[key] for key in ("data", "model", "seed_everything") if key in base}
        return kept | {"trainer": {"precision": base.get("trainer", {}).get("precision")}}

    def _recorded(self, explicit: Mapping[str, Any], free: set[str]) -> dict[str, Any]:
        """Read the configuration in the checkpoint; refuse options that contradict it."""
        assert self.checkpoint is not None
        try:
            content = checkpoints.read(self.checkpoint)
        except InputError as error:
            whole = runs.newest_whole(self.checkpoint) if self.checkpoint.is_file() else None
            if whole is None:
                raise
            raise InputError(f"{error}; the newest whole one is {whole}") from error
        hyper_parameters: dict[str, Any] = content["hyper_parameters"]
        self.content = content
        self.epochs_done = content["epoch"] + 1
        if self.command == "fit" and "optimizer_states" not in content:
            raise InputError(
                f"{self.checkpoint} holds weights and no training to go on with: "
                f"start a new run by --weights {self.checkpoint}"
            )
        progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
        if self.command == "fit" and not progress.get("is_last_batch", True):
            raise InputError(
                f"{self.checkpoint} was saved in the middle of epoch {self.epochs_done} (max_steps "
                "or max_time): go on from an earlier epoch's checkpoint, or start a new run by "
                f"--weights {self.checkpoint}"
            )
        model = {k: v for k, v in hyper_parameters.items() if k not in LINKED}
        base: dict[str, Any] = {"data": {}, "model": model} | content.get("config", {})
        if "trainer" not in base:
            # Imported, or saved by a Trainer in a user's own program, which leaves the rest open.
            free = free | {"data", "name", "seed_everything"}
        refuse_differences(base, explicit, free | {"ckpt_path"}, self.checkpoint)
        return base

    def plain_config(self) -> dict[str, Any]:
        """Return the whole configuration as nested dictionaries of plain values."""
        text = self.parser.dump(self.config, skip_unset=False, skip_validation=True)
        plain: dict[str, Any] = yaml.safe_load(text)
        plain.pop("config", None)
        return plain | {"ckpt_path": None}

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self.config_init["trainer"]
        added: list[pl.Callback] = []
        if config["enable_progress_bar"] is not False:
            added.append(TrainingProgress())
        if self.command == "fit" and not config["fast_dev_run"]:
            for option in ("max_epochs", "max_steps", "limit_train_batches", "limit_test_batches"):
                if config[option] == 0:
                    raise InputError(
                        f"--trainer.{option} 0 leaves nothing to do: give more, or leave it out"
                    )
            name = self.config.name
            name = run_name(datasets.run_name(self.config.data.dataset) if name is None else name)
            self.recorder = callbacks.Recorder(
                self.root,
                name,
                self.plain_config() | {"name": name},
                run=self.run,
                resumed=self.checkpoint,
            )
            added += [self.recorder, *callbacks.saving(self.recorder)]
        if re.search("spawn|fork|notebook", str(config["strategy"])):
            raise InputError(
                f"--trainer.strategy {config['strategy']} starts processes that do not know the "
                "command line: use ddp"
            )
        plugins = config["plugins"] or []
        plugins = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
        config = {**config, "plugins": [*plugins, callbacks.SafeCheckpointIO()], **kwargs}
        try:
            return self._instantiate_trainer(config, added)
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise InputError(f"the trainer refuses its options: {error}") from error


def refuse_differences(
    base: Mapping[str, Any], explicit: Mapping[str, Any], free: set[str], source: Path
) -> None:
    """Raise InputError where an explicit value differs from the one that `source` has.

    Args:
        base: The configuration in `source`.
        explicit: What the user gave.
        free: Options, and groups of options, that may differ.
        source: The file to name.
    """
    before = dict(_leaves(base))
    for key, value in _leaves(explicit):
        if free & {key, key.split(".")[0]} or (key in before and before[key] == value):
            continue
        raise InputError(
            f"--{key} {value} differs from {before.get(key)} in {source}: leave it out, or start "
            "a new run (--weights starts one from trained weights)"
        )


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


@contextlib.contextmanager
def _as_file(config: Mapping[str, Any]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(dict(config), allow_unicode=True), "utf-8")
        yield str(path)


def run_name(name: str) -> str:
    """Return the name if it can be a folder's, else raise InputError."""
    if not re.fullmatch(r"[^\s/\\.\-][^/\\\0\n]*", name):
        raise InputError(f"--name {name!r} must be a plain folder name, such as `baseline`")
    return name
