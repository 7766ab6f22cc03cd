"""`fit`, `validate` and `test`: LightningCLI with the project's run folder and its resume rule."""

import contextlib
import ctypes
import difflib
import logging
import platform
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
import yaml
from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import mnist_lit
from mnist_lit import callbacks, checkpoints, runs
from mnist_lit.data import sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import InputError, RunError
from mnist_lit.module import MNISTModule, Result

# A configuration may come from a stranger: it names classes, and naming one imports its module.
ALLOWED_IMPORTS = ["mnist_lit", "lightning.pytorch", "torch.optim"]
set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=ALLOWED_IMPORTS)


class Parser(LightningArgumentParser):
    """Lightning's parser; its errors are one line, with the nearest option for an unknown one."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(message.replace("typing.", "").split())
        line = re.sub(r'Parser key "([^"]+)":', r"--\1:", line)
        line = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", line)
        line = re.sub(
            r"Does not validate against any .*Subtypes: \[(.*)\] Errors:.* Given value: (.*)",
            r"\2 is none of \1",
            line,
        )
        if denied := re.search(r"Importing '([^']+)' is not allowed", line):
            line = (
                f"class_path {denied[1]} is not allowed in a configuration: "
                f"name a class of {', '.join(ALLOWED_IMPORTS)}"
            )
        elif unknown := re.search(r"unrecognized arguments: (\S+)|option '(\S+)'", line, re.I):
            name = next(filter(None, unknown.groups())).split("=")[0].lstrip("-")
            known = [option.lstrip("-") for option in self._option_string_actions]
            leaves = {option.rsplit(".", 1)[-1]: option for option in known} | {o: o for o in known}
            near = difflib.get_close_matches(name, leaves, n=1, cutoff=0.6)
            line += f": did you mean --{leaves[near[0]]}?" if near else ": see --help"
        elif line.startswith("Unexpected config"):
            line = f"--config: not a table of options such as `data: ...`, but {line[18:] or 'empty'}"
        raise InputError(line if len(line) < 300 else f"{line[:300]}... see --help") from ex


class CLI(LightningCLI):
    """One command's parser and objects; `fit`, `validate` and `test` share the configuration.

    Args:
        command: `fit`, `validate` or `test`.
        args: What follows the command.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.run: runs.Run | None = None
        self.checkpoint: Path | None = None
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
            parser_kwargs={"prog": f"mnist-lit {command}", "description": ""},
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        if self.command == "fit":
            parser.add_argument("--name", type=str | None, help="the run's name (default: the data set's)")
            parser.add_argument(
                "--ckpt_path",
                type=str | None,
                help="go on from a checkpoint: `last` of the newest run, or a path",
            )
            parser.add_argument(
                "--weights", type=str | None, help="start from the weights of this checkpoint"
            )
        else:
            parser.add_argument(
                "--ckpt_path",
                type=str | None,
                help="`best` (default) or `last` of the newest run, or a path",
            )
            parser.add_argument("--output", type=str | None, help="also write the result as JSON")
        super().add_default_arguments_to_parser(parser)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # Lightning puts the trainer's dozens of options first; help is read from the top.
        parser.add_lightning_class_args(MNISTDataModule, "data")
        parser.add_lightning_class_args(MNISTModule, "model")
        parser.add_lightning_class_args(pl.Trainer, "trainer")
        parser.set_defaults({f"trainer.{key}": value for key, value in self.trainer_defaults.items()})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.dataset", "model.dataset", apply_on="instantiate")
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")
        parser.link_arguments("data.class_names", "model.num_classes", len, apply_on="instantiate")
        parser.link_arguments("data.preprocessing", "model.preprocessing", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
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
        base = self._base(self.config.ckpt_path, explicit)
        if base:
            with _as_file(base) as file:
                self.config = parser.parse_args(["--config", file, *args])

    def _base(self, ckpt_path: str | None, explicit: dict[str, Any]) -> dict[str, Any] | None:
        """Find the checkpoint that the command starts from; return the configuration behind it."""
        self.dataset: str | None = None
        if self.command == "fit":
            if ckpt_path is None:
                return None
            if explicit.get("weights"):
                raise InputError("--weights starts a new run and --ckpt_path goes on with one: give one")
            if ckpt_path == "last":
                self.run = runs.newest(self.root)
                self.checkpoint = self.run.last if self.run.last.is_file() else None
            else:
                self.checkpoint = Path(ckpt_path)
                run = runs.run_of(self.checkpoint)
                self.run = run if run and self.checkpoint.name == "last.ckpt" else None
        else:
            self.checkpoint = runs.find_checkpoint(ckpt_path, self.root)
        if self.checkpoint:
            content = checkpoints.read(self.checkpoint)
            base, self.dataset = dict(content.get("config", {})), content["hyper_parameters"]["dataset"]
            self.epochs_done = content["epoch"] + 1
        else:
            assert self.run is not None
            base = self.run.read_config()
        free = {"trainer", "ckpt_path", "output", "debug"}
        if not self.run:
            free.add("name")
        if self.command != "fit":
            free |= {"data.source", "data.data_dir", "data.batch_size"}
        refuse_differences(base, explicit, free, self.checkpoint or self.run)
        base["data"] = dict(base["data"])
        if not Path(base["data"]["data_dir"]).is_dir():
            del base["data"]["data_dir"]  # moved, or another machine
        if self.dataset and "source" not in explicit.get("data", {}):
            base["data"]["source"] = "sample" if self.dataset == sample.NAME else "full"
        if self.command != "fit":
            # Trainer options of the training, such as limit_train_batches, are not evaluation's.
            base = {key: base[key] for key in ("data", "model", "seed_everything")}
        return base

    def _plain(self, config: Any) -> dict[str, Any]:
        """Return the configuration as nested dictionaries of plain values."""
        plain: dict[str, Any] = yaml.safe_load(
            self.parser.dump(config, skip_unset=False, skip_validation=True)
        )
        plain.pop("config", None)
        return plain

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self.config_init["trainer"]
        added: list[pl.Callback] = []
        if config["enable_progress_bar"] is not False:
            added.append(callbacks.TrainingProgress())
        self.recorder: callbacks.Recorder | None = None
        if self.command == "fit" and not config["fast_dev_run"]:
            for option in ("max_epochs", "max_steps", "limit_train_batches"):
                if config[option] == 0:
                    raise InputError(f"--trainer.{option} 0 trains nothing: give more, or leave it out")
            name = self.config.name
            name = run_name(self.config.data.dataset if name is None else name)
            plain = self._plain(self.config) | {"name": name, "ckpt_path": None}
            self.recorder = callbacks.Recorder(
                self.root, name, plain, run=self.run, resumed=self.checkpoint
            )
            added += [self.recorder, *callbacks.checkpoints(self.recorder)]
        plugins = config["plugins"] or []
        plugins = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
        config = {**config, "plugins": [*plugins, checkpoints.SafeCheckpointIO()], **kwargs}
        try:
            return self._instantiate_trainer(config, added)
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise InputError(f"the trainer refuses its options: {error}") from error


def refuse_differences(
    base: Mapping[str, Any], explicit: Mapping[str, Any], free: set[str], source: Any
) -> None:
    """Raise InputError where an explicit value differs from the one that the checkpoint has."""

    def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for key, value in config.items():
            if isinstance(value, Mapping):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key, list(value) if isinstance(value, tuple) else value

    before = dict(leaves(base))
    for key, value in leaves(explicit):
        if free & {key, key.split(".")[0]} or (key in before and before[key] == value):
            continue
        raise InputError(
            f"--{key} {value} differs from {before.get(key)} in {source}: leave it out "
            "(only --trainer options may change), or start a new run, from its weights by --weights"
        )


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


def quiet() -> None:
    """Silence what libraries say in a healthy run; what they warn of otherwise stays."""
    # Progress, hardware, tips and advertisements, logged as information.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        # Lightning 2.6 uses a PyTorch class that PyTorch 2.15 renames.
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
        # Lightning 2.6 calls a jsonargparse method that has since been renamed.
        r"\s*(By default only one Jsonargparse|``instantiate_classes`` was deprecated)",
        # Workers slow down batches that are one indexing of memory.
        r".*does not have many workers",
        # Its figure counts batches for a logger's sake; metrics here are logged once an epoch.
        r"The number of training batches .* is smaller than the logging interval",
        # A resumed run goes on in its own folder.
        r"Checkpoint directory .* exists and is not empty",
        # With val_split 0 there is nothing to validate on.
        r"Total length of `list` across ranks is zero",
        # The data module's samplers count every image once however many devices there are.
        r"Using `DistributedSampler` with the dataloaders",
    ):
        warnings.filterwarnings("ignore", message)


def prepare_process() -> None:
    """Set what makes a CPU step fast and changes no result: the allocator and denormal numbers."""
    # After many epochs saturated sigmoids give numbers so small that CPUs compute them slowly.
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        # glibc hands each step's freed activations back to the system, and the next step faults
        # them in again: 10.5 instead of 8 to 10 ms a step of 32 images on 2 cores. Other C
        # libraries lack mallopt or its effect.
        with contextlib.suppress(AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its largest
            mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
            mallopt(-2, 64 << 20)  # M_TOP_PAD


def layer_table(module: MNISTModule) -> str:
    """Return the network's layers with output shapes and parameters, read off a pass through it."""
    lines = [f"{'layer':<14}{'':<12}{'output':>10}{'parameters':>13}"]
    values = torch.zeros(1, 1, 28, 28)
    with torch.no_grad():
        for name, layer in module.network.eval().named_children():
            values = layer(values)
            shape = "x".join(map(str, values.shape[1:]))
            count = sum(p.numel() for p in layer.parameters())
            lines.append(f"{name:<14}{type(layer).__name__:<12}{shape:>10}{count:>13,}")
    module.network.train()
    total = sum(p.numel() for p in module.parameters())
    return "\n".join([*lines, f"{'total':<36}{total:>13,}"])


def fit(args: list[str]) -> int:
    """Train; then test the last and the best checkpoint and write the summary."""
    quiet()
    prepare_process()
    cli = CLI("fit", args)
    trainer, module, data = cli.trainer, cli.model, cli.datamodule
    if cli.checkpoint and cli.run and _is_finished(cli):
        print(f"{cli.run} is finished (epoch {cli.epochs_done}); a larger --trainer.max_epochs goes on")
        return 0
    if cli.config.weights:
        start_from(module, cli.config.weights)
    if trainer.is_global_zero:
        print(layer_table(module), flush=True)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=cli.checkpoint, weights_only=True)
    except RunError as error:
        if cli.recorder and cli.recorder.rows:
            raise RunError(f"{error}; {cli.recorder.run.last} holds the last good epoch") from error
        raise
    if cli.recorder:
        _finish(cli, cli.recorder)
    return 0


def _is_finished(cli: CLI) -> bool:
    assert cli.run is not None
    if not cli.run.summary.is_file():
        return False
    epochs = cli.config.trainer.max_epochs
    unchanged = cli.run.read_config()["trainer"] == cli._plain(cli.config)["trainer"]
    return unchanged or (epochs is not None and 0 <= epochs <= cli.epochs_done)


def start_from(module: MNISTModule, path: str) -> None:
    """Take over a checkpoint's weights; the last layer starts anew where the classes differ."""
    weights = checkpoints.load_checkpoint(path).network.state_dict()
    if weights["dense2.bias"].shape != module.network.dense2.bias.shape:
        fresh = module.network.state_dict()
        weights |= {name: fresh[name] for name in ("dense2.weight", "dense2.bias")}
        print(f"{path} has other classes: its last layer starts anew")
    module.network.load_state_dict(weights)


def _finish(cli: CLI, recorder: callbacks.Recorder) -> None:
    trainer, data, run = cli.trainer, cli.datamodule, recorder.run
    results: dict[str, dict[str, Any] | None] = {"last": None, "best": None}
    for which, path in (("last", run.last), ("best", run.best)):
        if not path.is_file():
            continue
        epoch = checkpoints.read(path)["epoch"] + 1
        trainer.test(cli.model, datamodule=data, ckpt_path=path, weights_only=True, verbose=False)
        test = cli.model.results["test"]
        row = recorder.rows[epoch - 1]
        results[which] = {
            "epoch": epoch,
            "val_loss": row["val_loss"],
            "val_accuracy": row["val_accuracy"],
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
        }
    if not trainer.is_global_zero:
        return
    last, best = results["last"], results["best"]
    assert last is not None
    sizes = {f"n_{name}": len(data.splits.get(name, ())) for name in ("train", "val", "test")}
    summary = {
        "dataset": data.name,
        **sizes,
        "epochs": len(recorder.rows),
        "best_epoch": best["epoch"] if best else None,
        "last": last,
        "best": best,
        "seconds": round(sum(row["seconds"] for row in recorder.rows), 3),
        "device": str(trainer.strategy.root_device),
        "seed": cli.config.seed_everything,
        "versions": versions(),
    }
    recorder.close({name: last[name] for name in ("test_loss", "test_accuracy")})
    run.write_summary(summary)
    names = ("epoch", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
    print("\n" + "".join(f"{name:>15}" for name in (data.name, *names)))
    for which in ("best", "last"):
        if result := results[which]:
            print(f"{which:>15}{result['epoch']:>15}" + "".join(_cell(result[n]) for n in names[1:]))
    print(
        f"\nrun   {run}: {sizes['n_train']:,} training images, {summary['seconds']:.0f} s of training"
        f"\nnext  python -m mnist_lit test\n      tensorboard --logdir {cli.root}"
    )


def _cell(value: float | None) -> str:
    return f"{'-':>15}" if value is None else f"{value:>15.4f}"


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": pl.__version__,
        "mnist-lit": mnist_lit.__version__,
    }


def evaluate(command: str, args: list[str]) -> int:
    """Validate or test a checkpoint; print the figures, and write them by --output."""
    quiet()
    cli = CLI(command, args)
    assert cli.checkpoint is not None
    data, output = cli.datamodule, cli.config.output
    if output is not None and (not output or Path(output).is_dir()):
        raise InputError(f"--output {output!r} is a folder: name a file, such as result.json")
    module = checkpoints.load_checkpoint(cli.checkpoint)
    data.prepare_data()
    if data.name == sample.NAME and cli.dataset != sample.NAME:
        raise InputError(
            f"{cli.checkpoint} was trained on {cli.dataset}, which holds the sample's images: "
            "test it by --data.source full"
        )
    data.setup(command)
    split = "val" if command == "validate" else "test"
    if split not in data.splits:
        raise InputError(f"{cli.checkpoint} was trained without validation (val_split 0): use `test`")
    getattr(cli.trainer, command)(module, datamodule=data, verbose=False)
    result: Result = module.results[split]
    if not cli.trainer.is_global_zero:
        return 0
    table = {
        "dataset": data.name,
        "split": split,
        "n": result.n,
        "correct": result.correct,
        "accuracy": result.accuracy,
        "loss": result.loss,
        "checkpoint": str(cli.checkpoint),
    }
    for name, value in table.items():
        print(f"{name:<12}{value:.6f}" if isinstance(value, float) else f"{name:<12}{value}")
    if output:
        runs.write_json(Path(output), table)
    return 0
