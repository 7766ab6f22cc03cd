"""`fit`: train, then test the best and the last checkpoint."""

import logging
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli.training import CLI, refuse_other
from mnist_lit.data import datasets
from mnist_lit.errors import Argument, InputError, Interrupted, RunError, printable
from mnist_lit.network.network import Network
from mnist_lit.report import report
from mnist_lit.runs import finding
from mnist_lit.runs.run import Run
from mnist_lit.training import finish, resume, weights
from mnist_lit.training.recorder import Recorder

log = logging.getLogger("mnist_lit")


def command(args: list[str]) -> int:
    """Train; then test the last and the best checkpoint and write the summary."""
    environment.quiet()
    environment.prepare()
    cli = CLI("fit", args)
    if _finished(cli):
        return 0
    data = cli.datamodule
    if cli.checkpoint and datasets.has_changed(data.dataset, cli.checkpoint):
        raise InputError(
            cli.config.data.dataset,
            f"has changed since {cli.checkpoint.path} was trained on it",
            ("start a new run by", Argument("dataset", cli.config.data.dataset),
             Argument("weights", str(cli.checkpoint.path))),
        )  # fmt: skip
    if cli.checkpoint:
        refuse_other(cli.checkpoint, data)
        # Sums come out bit for bit the same in as many threads.
        torch.set_num_threads(cli.checkpoint.content.get("threads", torch.get_num_threads()))
    _prepare(cli)
    _train(cli)
    if cli.recorder:
        tested = finish.test_checkpoints(cli.trainer, data, cli.recorder)
        if cli.trainer.is_global_zero:
            _conclude(cli, cli.recorder, tested)
    return 0


def _finished(cli: CLI) -> bool:
    """Tell whether the run has come to the end that it is asked for, and print so."""
    run, checkpoint, trainer = cli.run, cli.checkpoint, cli.config.trainer
    if not (run and checkpoint and run.summary.is_file()):
        return False
    unchanged = run.read_config().get("trainer") == cli.plain_config()["trainer"]
    if not (unchanged or resume.is_finished(checkpoint, trainer)):
        return False
    done = checkpoint.epoch + 1
    if done < (trainer.max_epochs or 0) and not resume.is_finished(checkpoint, trainer):
        print(f"{run} is finished: it stopped early, after epoch {done}")
    else:
        print(f"{run} is finished (epoch {done}): a larger --trainer.max_epochs resumes it")
    return True


def _prepare(cli: CLI) -> None:
    """Take over weights, prepare the data, print what will be trained and on which nodes."""
    data, module, trainer = cli.datamodule, cli.model, cli.trainer
    path = None if cli.checkpoint else cli.config.weights
    anew = weights.start_from(module, path) if path else []
    teachers = module.find_teachers()  # now, before there is a run
    if not trainer.is_global_zero:
        return
    data.prepare_data()  # first, so that nothing is announced that cannot begin
    if anew:
        print(f"{path}: newly initialised: {', '.join(anew)}")
    known = [checkpoints.read(path)] if path else []
    if cli.checkpoint and "trainer" not in cli.checkpoint.config:
        known.append(cli.checkpoint)  # imported
    for checkpoint in [*known, *(teachers.checkpoints if teachers else [])]:
        if seen := weights.seen_images(checkpoint, data):
            print(printable(seen))
    if cli.run and cli.checkpoint:  # of several names `last` is the newest
        print(printable(f"resuming {cli.run} after epoch {cli.checkpoint.epoch + 1}"))
    print(layer_table(module.network), flush=True)
    if trainer.num_nodes > 1:
        where = os.environ.get("MASTER_ADDR", "127.0.0.1")
        print(
            f"waiting for {trainer.num_nodes - 1} more of {trainer.num_nodes} nodes at {where}: "
            "start this command on each by `torchrun` or SLURM (on one machine leave "
            "--trainer.num_nodes out)",
            flush=True,
        )


def _train(cli: CLI) -> None:
    path = cli.checkpoint.path if cli.checkpoint else None
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True)
    except RunError as error:
        if cli.recorder and cli.recorder.rows:
            kept = f"; {cli.recorder.run.last} holds the last good epoch"
            remedy = error.remedy if isinstance(error.remedy, tuple) else (error.remedy,)
            raise RunError(error.subject, error.problem, (*remedy, kept)) from error
        raise
    except Interrupted as error:
        error.hint = _how_to_resume(cli)
        raise


def _how_to_resume(cli: CLI) -> str:
    run = getattr(cli.recorder, "run", None)
    if run is None or not run.config.is_file():
        return " before the training began"
    newest = finding.newest(cli.root).folder == run.folder and cli.root == Path("runs")
    if cli.recorder and cli.recorder.rows and run.last.is_file():
        which = "last" if newest else shlex.quote(str(run.last))
        return f"; finished epochs are kept: python -m mnist_lit fit --ckpt_path {which}"
    if newest:
        return " in the first epoch; to start it again: python -m mnist_lit fit --ckpt_path last"
    return " before an epoch was finished: there is nothing to resume"


def layer_table(network: Network) -> str:
    """Return the network's layers with output shapes and parameters."""
    name = max(14, *(len(layer.name) + 1 for layer in network.layers))
    kind = max(12, *(len(layer.kind) + 1 for layer in network.layers))
    lines = [f"{'layer':<{name}}{'':<{kind}}{'output':>10}{'parameters':>13}"]
    for layer in network.layers:
        shape = "x".join(map(str, layer.shape))
        lines.append(f"{layer.name:<{name}}{layer.kind:<{kind}}{shape:>10}{layer.parameters:>13,}")
    total = sum(layer.parameters for layer in network.layers)
    return "\n".join([*lines, f"{'total':<{name + kind + 10}}{total:>13,}"])


def _conclude(cli: CLI, recorder: Recorder, tested: Mapping[str, finish.Tested]) -> None:
    """Write the summary, print the table, draw the report."""
    data, run = cli.datamodule, recorder.run
    seed = cli.config.seed_everything
    content = finish.summarise(
        cli.trainer, data, recorder, tested, seed=seed, command=cli.command_line
    )
    _print_table(data.name, tested)
    for line in data.dataset.odd:
        print(printable(f"note: {line}"))
    try:
        answers = {name: found.answers for name, found in tested.items()}
        recorder.show(report.write(run, answers, data=data))
        page = f"\nsee   {run.report}"
    except Exception as error:  # the training's results must not hang on a picture
        page = ""
        log.warning(f"no report was drawn ({error}): {_how_to_draw(run, error)}")
    recorder.close({name: content["last"][name] for name in ("test_loss", "test_accuracy")})
    seen = f"{n:,} of " if (n := content["n_trained"]) < content["n_train"] else ""
    where = "" if cli.root == Path("runs") else f" --runs {shlex.quote(str(cli.root))}"
    print(
        f"\nrun   {run}: {seen}{content['n_train']:,} training images, {content['seconds']:.0f} s "
        f"of training{page}\nnext  python -m mnist_lit test{where}"
        f"\n      tensorboard --logdir {cli.root}"
    )


def _how_to_draw(run: Run, error: Exception) -> str:
    """Return what helps where a report could not be drawn."""
    again = f"python -m mnist_lit report {run}"
    if isinstance(error, OSError):
        return f"make room or fix the permissions, then `{again}`"
    if isinstance(error, ImportError):
        return f"`python -m mnist_lit doctor` says what is missing, then `{again}`"
    return f"the run's records are whole; `{again} --debug` shows what is wrong"


def _print_table(title: str, tested: Mapping[str, finish.Tested]) -> None:
    columns = list(tested["last"].metrics)
    print("\n" + "".join(f"{name:>{_width(name)}}" for name in (title, *columns)))
    for name, found in tested.items():
        cells = "".join(_cell(found.metrics[column], _width(column)) for column in columns)
        print(f"{name:>{_width(title)}}{cells}")


def _width(title: str) -> int:
    return max(len(title) + 1, 15)


def _cell(value: Any, width: int) -> str:
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}.4f}" if isinstance(value, float) else f"{value:>{width}}"
