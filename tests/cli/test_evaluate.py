"""`validate` and `test`: which checkpoint they take, on which images, and exact figures."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import SHORT, Command
from mnist_lit import load_checkpoint
from mnist_lit.data import sample

pytestmark = pytest.mark.undrawn

CHECKPOINTS = Path("runs/mnist/version_0/checkpoints")


def result(command: Command, *args: object) -> dict[str, Any]:
    answer = command(*args, "--output", "result.json")
    assert (answer.code, answer.err) == (0, "")
    content: dict[str, Any] = json.loads(Path("result.json").read_text())
    assert " ".join(content) == "dataset split n correct accuracy loss checkpoint"
    lines = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert lines["n"] == str(content["n"]) and lines["correct"] == str(content["correct"])
    assert lines["accuracy"] == f"{content['accuracy']:.6f}"
    return content


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command_name, split", [("test", "test"), ("validate", "val")])
def test_figures_are_exact(command: Command, command_name: str, split: str) -> None:
    found = result(command, command_name)
    images, labels = sample.load()[split]
    with torch.no_grad():
        answers = load_checkpoint(CHECKPOINTS / "best.ckpt")(images / 255)
    assert (found["dataset"], found["split"], found["n"]) == ("mnist-sample-5k", split, 1000)
    assert found["correct"] == int((answers.argmax(1) == labels).sum())
    assert found["accuracy"] == found["correct"] / 1000
    loss = torch.nn.functional.nll_loss(answers, labels)
    assert found["loss"] == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("size", [7, 500, 5000])  # 7 does not divide 1,000
def test_figures_do_not_depend_on_the_batch(command: Command, size: int) -> None:
    found = result(command, "test", "--data.batch_size", size)
    summary = json.loads((CHECKPOINTS.parent / "summary.json").read_text())
    assert found["accuracy"] == summary["best"]["test_accuracy"]
    assert found["loss"] == pytest.approx(summary["best"]["test_loss"], rel=1e-6)


@pytest.mark.usefixtures("trained")
def test_which_checkpoint(command: Command) -> None:
    best, last = CHECKPOINTS / "best.ckpt", CHECKPOINTS / "last.ckpt"
    elsewhere = shutil.copy(last, "elsewhere.ckpt")
    for option, path in [((), best), (("best",), best), (("last",), last), ((last,), last)]:
        which = ("--ckpt_path", *option) if option else ()
        assert result(command, "test", *which)["checkpoint"] == str(path)
    of_last = result(command, "test", "--ckpt_path", last)
    shutil.rmtree("runs")
    # The file needs nothing beside it.
    assert result(command, "test", "--ckpt_path", elsewhere) == of_last | {
        "checkpoint": str(elsewhere)
    }


def test_without_validation(command: Command) -> None:
    command("fit", *SHORT, "--trainer.max_epochs", 1, "--data.val_split", 0)
    answer = command("test")
    assert answer.code == 0
    assert "has no best checkpoint (no validation): taking its last" in answer.out
    assert f"checkpoint  {CHECKPOINTS / 'last.ckpt'}" in answer.out
    answer = command("test", "--ckpt_path", "best")
    assert answer.code == 2 and "use --ckpt_path last" in answer.err
    answer = command("validate")
    assert answer.code == 2 and "without validation (val_split 0)" in answer.err


def relabelled(dataset: str) -> Path:
    """Return a copy of the checkpoint that says it was trained on `dataset`."""
    content = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    content["hyper_parameters"]["dataset"] = dataset
    content["config"]["data"]["source"] = "auto"
    torch.save(content, "other.ckpt")
    return Path("other.ckpt")


@pytest.mark.usefixtures("trained")
def test_sample_is_no_test_of_a_network_that_has_seen_it(command: Command) -> None:
    answer = command("test", "--ckpt_path", relabelled("mnist"), "--data.source", "sample")
    assert answer.code == 2
    assert "was trained on mnist, which holds the sample's images" in answer.err


@pytest.mark.usefixtures("trained")
def test_data_set_is_the_checkpoints_own(command: Command) -> None:
    # Wherever the run began, the sample stays the sample.
    assert result(command, "test", "--ckpt_path", relabelled("mnist-sample-5k"))["n"] == 1000


@pytest.mark.mnist
@pytest.mark.usefixtures("trained")
def test_sample_network_on_mnist(command: Command, mnist_dir: Path) -> None:
    options = ("--data.source", "full", "--data.data_dir", mnist_dir)
    found = result(command, "test", *options)
    assert (found["dataset"], found["n"]) == ("mnist", 10_000)
    assert result(command, "validate", *options)["n"] == 12_000


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("output", ["", "runs"])
def test_output_that_is_no_file(command: Command, output: str) -> None:
    answer = command("test", "--output", output)
    assert answer.code == 2 and "--output" in answer.err and "name a file" in answer.err


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("output", [CHECKPOINTS / "best.ckpt", "pipe", "link.json"])
def test_output_that_would_be_lost(command: Command, output: str | Path) -> None:
    Path("target").write_text("old")
    Path("link.json").symlink_to("target")
    os.mkfifo("pipe")  # in place of a device
    before = (CHECKPOINTS / "best.ckpt").read_bytes()
    answer = command("test", "--output", output)
    assert (answer.code, answer.out) == (2, "") and "error: --output" in answer.err
    assert (CHECKPOINTS / "best.ckpt").read_bytes() == before
    assert Path("pipe").is_fifo() and Path("link.json").is_symlink()


@pytest.mark.usefixtures("trained")
def test_output_within_a_file(command: Command) -> None:
    Path("file").touch()
    answer = command("test", "--output", "file/result.json")
    assert (answer.code, answer.out) == (2, "") and "would lie inside the file" in answer.err


def test_precision_is_the_trainings(command: Command) -> None:
    command("fit", *SHORT, "--trainer.max_epochs", 1, "--trainer.precision", "bf16-true")
    summary = json.loads((CHECKPOINTS.parent / "summary.json").read_text())
    assert result(command, "test")["loss"] == summary["best"]["test_loss"]
    other = result(command, "test", "--trainer.precision", "32-true")
    assert other["loss"] != summary["best"]["test_loss"]


@pytest.mark.usefixtures("trained")
def test_output_makes_its_folder(command: Command) -> None:
    assert command("test", "--output", "results/of/today.json").code == 0
    assert json.loads(Path("results/of/today.json").read_text())["n"] == 1000


@pytest.mark.usefixtures("trained")
def test_options_of_another_network_are_refused(command: Command) -> None:
    answer = command("test", "--data.val_split", 0.5)
    assert answer.code == 2 and "--data.val_split 0.5 differs from 0.2" in answer.err


@pytest.mark.usefixtures("trained")
def test_a_run_is_its_best(command: Command) -> None:
    run, best = CHECKPOINTS.parent, CHECKPOINTS / "best.ckpt"
    assert result(command, "test", "--ckpt_path", run)["checkpoint"] == str(best)
    answer = command("test", run)
    assert answer.code == 2 and answer.err.strip().endswith(f"--ckpt_path {run}")
