"""`fit`, `validate` and `test`."""

import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mnist_lit
from mnist_lit import environment as process
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli.training import CLI
from mnist_lit.data import datasets, sample
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.splits import listed
from mnist_lit.errors import InputError, Interrupted, RunError, printable
from mnist_lit.network.network import layers
from mnist_lit.report import report
from mnist_lit.runs import run as runs
from mnist_lit.training import recorder as callbacks
from mnist_lit.training.module import MNISTModule, Result, load_checkpoint

SEEN = "{} has changed since {} was trained on it: test pictures may be among those trained on"


def fit(args: list[str]) -> int:
    """Train; then test the last and the best checkpoint and write the summary."""
    process.quiet()
    process.prepare()
    cli = CLI("fit", args)
    if _is_finished(cli):
        early = cli.epochs_done < (cli.config.trainer.max_epochs or 0)
        print(
            f"{cli.run} is finished"
            + (
                f": it stopped early, after epoch {cli.epochs_done}"
                if early
                else f" (epoch {cli.epochs_done}): a larger --trainer.max_epochs goes on with it"
            )
        )
        return 0
    trainer, module, data = cli.trainer, cli.model, cli.datamodule
    if cli.checkpoint and datasets.has_changed(data.dataset, cli.content):
        dataset = cli.config.data.dataset
        raise InputError(
            f"{dataset} has changed since {cli.checkpoint} was trained on it: start a new run by "
            f"--data.dataset {dataset} --weights {cli.checkpoint}"
        )
    weights = None if cli.checkpoint else cli.config.weights
    if weights:
        start_from(module, weights)
    if trainer.is_global_zero:
        data.prepare_data()  # first, so that nothing is announced that cannot begin
        if weights:
            tell_of_seen_images(weights, data)
        print(layer_table(module.network), flush=True)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=cli.checkpoint, weights_only=True)
    except RunError as error:
        if cli.recorder and cli.recorder.rows:
            raise RunError(f"{error}; {cli.recorder.run.last} holds the last good epoch") from error
        raise
    except Interrupted as error:
        error.hint = _how_to_go_on(cli)
        raise
    if cli.recorder:
        _finish(cli, cli.recorder)
    return 0


def _how_to_go_on(cli: CLI) -> str:
    if not (cli.recorder and cli.recorder.rows and cli.recorder.run.last.is_file()):
        return " before an epoch was finished: there is nothing to go on with"
    run = cli.recorder.run
    newest = runs.newest(cli.root).folder == run.folder and cli.root == Path("runs")
    which = "last" if newest else shlex.quote(str(run.last))
    return f"; finished epochs are kept: python -m mnist_lit fit --ckpt_path {which}"


def _is_finished(cli: CLI) -> bool:
    """Tell whether the run that is gone on with has come to the end that it is asked for."""
    if not (cli.run and cli.checkpoint and cli.run.summary.is_file()):
        return False
    epochs = cli.config.trainer.max_epochs
    unchanged = cli.run.read_config()["trainer"] == cli.plain_config()["trainer"]
    return unchanged or (epochs is not None and 0 <= epochs <= cli.epochs_done)


def start_from(module: MNISTModule, path: str) -> None:
    """Take over a checkpoint's weights; the last layer starts anew where the classes differ."""
    network, values = checkpoints.load_network(path)
    weights, fresh = network.state_dict(), module.network.state_dict()
    if values["class_names"] != module.hparams["class_names"]:
        print(f"{path} has other classes: its last layer starts anew")
        last_layer = list(weights)[-1].partition(".")[0]
        weights |= {name: fresh[name] for name in fresh if name.startswith(f"{last_layer}.")}
    try:
        module.network.load_state_dict(weights)
    except RuntimeError as error:
        raise checkpoints.another_network(path, error) from error


def tell_of_seen_images(path: str, data: MNISTDataModule) -> None:
    """Print which of the run's figures will be of images that the weights were trained on."""
    content = checkpoints.read(path)
    dataset = content["hyper_parameters"]["dataset"]
    if data.name == sample.NAME and dataset in sample.HOLDERS:
        print(f"{path} was trained on {dataset}, which holds the sample's images:", end=" ")
        print("its figures on validation and test images do not count")
    elif datasets.has_changed(data.dataset, content):
        print(SEEN.format(data.name, path))
    elif data.name == dataset:
        val_split = content.get("config", {}).get("data", {}).get("val_split", 0)
        if val_split < data.val_split:
            print(f"{path} was trained with val_split {val_split}:", end=" ")
            print("figures on validation images that it has seen do not count")


def layer_table(network: nn.Sequential) -> str:
    """Return the network's layers with output shapes and parameters."""
    lines = [f"{'layer':<14}{'':<12}{'output':>10}{'parameters':>13}"]
    found = layers(network)
    for layer in found:
        shape = "x".join(map(str, layer.shape))
        lines.append(f"{layer.name:<14}{layer.kind:<12}{shape:>10}{layer.parameters:>13,}")
    total = sum(layer.parameters for layer in found)
    return "\n".join([*lines, f"{'total':<36}{total:>13,}"])


def _finish(cli: CLI, recorder: callbacks.Recorder) -> None:
    """Test what the training came to; write `summary.json` and print the table."""
    trainer, data, run = cli.trainer, cli.datamodule, recorder.run
    of_epoch: dict[int, dict[str, Any]] = {}
    n_test = 0  # as counted, which --trainer.limit_test_batches may cut

    def tested(path: Path) -> dict[str, Any] | None:
        nonlocal n_test
        if not path.is_file():
            return None
        epoch = checkpoints.read(path)["epoch"] + 1
        if epoch not in of_epoch:
            # Not by Lightning's ckpt_path, which would take the recorder back to that epoch too.
            module = load_checkpoint(path)
            trainer.test(module, data, verbose=False)
            test, row = module.results["test"], recorder.rows[epoch - 1]
            n_test = test.n
            of_epoch[epoch] = {
                "epoch": epoch,
                "val_loss": row["val_loss"],
                "val_accuracy": row["val_accuracy"],
                "test_loss": test.loss,
                "test_accuracy": test.accuracy,
            }
            if test.balanced_accuracy is not None:
                of_epoch[epoch]["balanced_accuracy"] = test.balanced_accuracy
        return of_epoch[epoch]

    best, last = tested(run.best), tested(run.last)
    assert last is not None
    if not trainer.is_global_zero:
        return
    sizes = {f"n_{name}": len(data.splits.get(name, ())) for name in ("train", "val")}
    sizes["n_test"] = n_test
    seconds = sum(row["seconds"] for row in recorder.rows)
    runs.write_json(
        run.summary,
        {
            "dataset": data.name,
            **sizes,
            "epochs": len(recorder.rows),
            "best_epoch": best["epoch"] if best else None,
            "last": last,
            "best": best,
            "seconds": round(seconds, 3),
            "device": str(trainer.strategy.root_device),
            "seed": cli.config.seed_everything,
            "versions": versions(),
            # What must be known to read the figures: of one's own data alone.
            **({"warnings": list(data.dataset.odd)} if data.dataset.odd else {}),
        },
    )
    print("\n" + "".join(f"{title:>{_width(title)}}" for title in (data.name, *last)))
    for title, result in (("best", best), ("last", last)):
        if result:
            cells = "".join(_cell(value, _width(name)) for name, value in result.items())
            print(f"{title:>{_width(data.name)}}{cells}")
    for line in data.dataset.odd:
        print(printable(f"note: {line}"))
    try:
        recorder.show(report.write(run, data))
        page = f"\nsee   {run.folder / 'report.html'}"
    except Exception as error:  # the training's results must not hang on a picture
        page = ""
        again = f"python -m mnist_lit report {run}"
        print(f"warning: no report was drawn ({error}): `{again}` tries again")
    recorder.close({name: last[name] for name in ("test_loss", "test_accuracy")})
    where = "" if cli.root == Path("runs") else f" --ckpt_path {shlex.quote(str(run.last))}"
    print(
        f"\nrun   {run}: {sizes['n_train']:,} training images, {seconds:.0f} s of training{page}"
        f"\nnext  python -m mnist_lit test{where}\n      tensorboard --logdir {cli.root}"
    )


def _width(title: str) -> int:
    return max(len(title) + 1, 15)


def _cell(value: float | None, width: int) -> str:
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}.4f}" if isinstance(value, float) else f"{value:>{width}}"


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": importlib.metadata.version("lightning"),
        "mnist-lit": mnist_lit.__version__,
    }


def evaluate(command: str, args: list[str]) -> int:
    """Validate or test a checkpoint; print the figures, and write them by --output."""
    process.quiet()
    cli = CLI(command, args)
    assert cli.checkpoint is not None
    data, output = cli.datamodule, cli.config.output
    if output is not None and (not output or Path(output).is_dir()):
        raise InputError(f"--output {output!r} is a folder: name a file, such as result.json")
    if output and (Path(output).suffix != ".json" or Path(output).is_symlink()):
        # The file is replaced whole: a device, a link or a checkpoint would be lost.
        raise InputError(f"--output {output!r} must be a file of its own that ends in .json")
    if output and any(parent.is_file() for parent in Path(output).parents):
        raise InputError(f"--output {output!r} would lie in a file: name one in a folder")
    module = load_checkpoint(cli.checkpoint)
    known = module.hparams["class_names"]
    if data.class_names != known:
        raise InputError(
            f"{cli.checkpoint} knows the classes {listed(known)}, and {data.name} has "
            f"{listed(data.class_names)}: name the data it was trained on by --data.dataset"
        )
    data.prepare_data()
    trained_on = module.hparams["dataset"]
    if data.name == sample.NAME and trained_on in sample.HOLDERS:
        raise InputError(
            f"{cli.checkpoint} was trained on {trained_on}, which holds the sample's images: "
            "test it by --data.source full"
        )
    if datasets.has_changed(data.dataset, cli.content):
        print(f"warning: {SEEN.format(data.name, cli.checkpoint)}", file=sys.stderr)
    data.setup(command)
    split = "val" if command == "validate" else "test"
    if split not in data.splits:
        raise InputError(
            f"{cli.checkpoint} was trained without validation (val_split 0): use `test`"
        )
    getattr(cli.trainer, command)(module, datamodule=data, verbose=False)
    result: Result = module.results[split]
    if not cli.trainer.is_global_zero:
        return 0
    table: dict[str, Any] = {
        "dataset": data.name,
        "split": split,
        "n": result.n,
        "correct": result.correct,
        "accuracy": result.accuracy,
        "loss": result.loss,
        "checkpoint": str(cli.checkpoint),
    }
    if result.balanced_accuracy is not None:
        table["balanced_accuracy"] = result.balanced_accuracy
    width = max(map(len, table)) + 1
    for name, value in table.items():
        text = f"{value:.6f}" if isinstance(value, float) else str(value)
        print(f"{name:<{max(width, 12)}}{printable(text)}")
    if output:
        runs.write_json(Path(output), table)
    return 0
