"""The resume rule: what may be given beside a checkpoint, and the configuration that follows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import LINKED
from mnist_lit.errors import Argument, InputError
from mnist_lit.network.architecture import Architecture
from mnist_lit.runs.run import leaves
from mnist_lit.training.module import ARGUMENTS

# Arguments of the trainer that a schedule of the learning rate depends on.
LENGTH = ("max_epochs", "max_steps", "limit_train_batches", "accumulate_grad_batches")
# What an evaluation may choose for itself.
OF_EVALUATION = {
    "trainer", "output", "runs", "data.dataset", "data.source", "data.data_dir",
    "data.preprocessing", "data.strict", "data.batch_size",
}  # fmt: skip
ANEW = ("leave it out, or start a new run from the weights by", Argument("weights"))

Config = dict[str, Any]


def plan_resume(given: Mapping[str, Any], checkpoint: Checkpoint, *, run: Config | None) -> Config:
    """Return the configuration to resume with, under what was given.

    Args:
        given: What the user gave, as a nested configuration.
        checkpoint: The checkpoint to resume from.
        run: What the run was last given, if it continues in its own folder; then its name is
            fixed, and what was asked of the trainer lasts, though no epoch may have ended since.
            None where a new folder is made.

    Raises:
        InputError: The checkpoint can't be resumed, or a value that was given contradicts it.
    """
    path = checkpoint.path
    if "optimizer_states" not in checkpoint.content:
        raise InputError(
            path, "holds weights but no training state", ("start a new run by", _weights(path))
        )
    loops = checkpoint.content.get("loops", {}).get("fit_loop", {})
    if not loops.get("epoch_loop.batch_progress", {}).get("is_last_batch", True):
        raise InputError(
            path,
            f"was saved in the middle of epoch {checkpoint.epoch + 1} (max_steps or max_time)",
            ("resume from an earlier epoch's checkpoint, or start a new run by", _weights(path)),
        )
    optimizers = checkpoint.content["optimizer_states"]
    states = [state for one in optimizers for state in one.get("state", {}).values()]
    others = checkpoint.hyper_parameters.keys() - ARGUMENTS
    if others or not all("exp_avg" in state for state in states):
        raise InputError(
            path,
            "was trained by another module or another optimiser than Adam",
            ("resume it in the program that trained it, or start a new run by", _weights(path)),
        )
    base = _base(checkpoint)
    free = {"trainer", "ckpt_path", "runs"} | ({"name"} if run is None else set())
    if "trainer" not in checkpoint.config:
        # Imported, or saved by a Trainer in the user's own program, which leaves the rest open.
        free |= {"data", "name", "seed_everything"}
    refuse_differences(base, given, free, path, checkpoint.network)
    if base["model"].get("schedule", "constant") != "constant":
        trainer = given.get("trainer", {})
        length = {name: trainer[name] for name in LENGTH if name in trainer}
        refuse_differences(base, {"trainer": length}, set(), path)
    asked = {"trainer": run["trainer"]} if run and "trainer" in run else {}
    return base | {"data": datasets.options_of(checkpoint, given.get("data"))} | asked


def plan_evaluation(given: Mapping[str, Any], checkpoint: Checkpoint) -> Config:
    """Return the configuration to evaluate a checkpoint with, under what was given.

    The trainer's precision is kept, so that metrics come out as in training.

    Raises:
        InputError: A value that was given contradicts the checkpoint.
    """
    base = _base(checkpoint)
    free = OF_EVALUATION | {"ckpt_path"}
    if "trainer" not in checkpoint.config:
        free |= {"data", "seed_everything"}
    refuse_differences(base, given, free, checkpoint.path, checkpoint.network)
    kept = {key: base[key] for key in ("model", "seed_everything") if key in base}
    precision = base.get("trainer", {}).get("precision")
    data = datasets.options_of(checkpoint, given.get("data"))
    return kept | {"data": data, "trainer": {"precision": precision}}


def plan_restart(given: Mapping[str, Any], config: Config, source: Path) -> Config:
    """Return the configuration of a run that was stopped before its first epoch ended.

    Raises:
        InputError: A value that was given contradicts it.
    """
    refuse_differences(config, given, {"trainer", "ckpt_path", "runs"}, source)
    return config | {"data": datasets.options_of_config(config, given.get("data"))}


def is_finished(checkpoint: Checkpoint, trainer: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint has come to the end that the trainer's options ask for."""
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    done: int = checkpoint.content.get("global_step", 0)
    return bool((epochs is not None and 0 <= epochs <= checkpoint.epoch + 1) or 0 <= steps <= done)


def _weights(path: Path) -> Argument:
    return Argument("weights", str(path))


def _base(checkpoint: Checkpoint) -> Config:
    """Return the configuration in a checkpoint; one that `fit` did not write has the model's."""
    return {"data": {}, "model": own(checkpoint.hyper_parameters)} | checkpoint.config


def own(values: Mapping[str, Any]) -> Config:
    """Return those of a module's hyperparameters that the command line takes."""
    return {k: v for k, v in values.items() if k in ARGUMENTS and k not in LINKED}


def refuse_differences(
    base: Mapping[str, Any],
    given: Mapping[str, Any],
    free: set[str],
    source: Path,
    network: Architecture | None = None,
) -> None:
    """Raise InputError where a value that was given differs from the one in `source`.

    Args:
        base: The configuration in `source`.
        given: What the user gave.
        free: Arguments, and groups of arguments, that may differ.
        source: The file to name.
        network: The network in `source`; by default the one that `base` names.
    """
    before, after = dict(leaves(base)), dict(leaves(given))
    wanted = {name: after.pop(f"model.{name}", None) for name in ("network", "dropout")}
    if wanted["network"] is not None or wanted["dropout"] is not None:
        _refuse_network(base.get("model", {}), wanted, source, network)
    for key, value in after.items():
        if free & {key, key.split(".")[0]} or (key in before and before[key] == value):
            continue
        raise InputError(Argument(key, value), f"differs from {before.get(key)} in {source}", ANEW)


def _refuse_network(
    model: Mapping[str, Any], wanted: Mapping[str, Any], source: Path, network: Architecture | None
) -> None:
    own = model.get("network", "notebook")
    network = network or Architecture.of(own, dropout=model.get("dropout"))
    value = wanted["network"]
    if value is None:  # the dropout alone
        rates = [layer.arguments.get("p") for layer in network.layers if "Drop" in layer.kind]
        if any(rate != wanted["dropout"] for rate in rates) or not rates:
            raise InputError(
                Argument("dropout", wanted["dropout"]),
                f"differs from {', '.join(map(str, rates)) or 'none'} in {source}",
                ANEW,
            )
    elif difference := network.difference(Architecture.of(value, dropout=wanted["dropout"])):
        raise InputError(
            Argument("network"), f"differs from the one in {source}: {difference}", ANEW
        )
