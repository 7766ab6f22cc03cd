"""`fit`: what a run leaves, and that a run that was stopped ends as one that was not."""

import csv
import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers import REPOSITORY, SHORT, Command
from mnist_lit import MNISTModule
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import Interrupted
from mnist_lit.training.saving import SafeCheckpointIO

RUN = Path("runs/mnist/version_0")
EPOCHS = "--trainer.max_epochs"
CONFIGS = REPOSITORY / "configs"
pytestmark = pytest.mark.undrawn


def metrics(run: Path = RUN) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in metrics(run)]


def summary(run: Path = RUN) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return content


def names(run: Path = RUN) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def last(run: Path = RUN) -> dict[str, Any]:
    return checkpoints.read(run / "checkpoints" / "last.ckpt").content


def equal(a: Any, b: Any) -> bool:
    """Compare nested values bit for bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def same_training(a: Path, b: Path) -> bool:
    parts = ["state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"]
    parts += ["current_model_state", "averaging_state"]  # of averaged weights, if any
    return all(equal(last(a).get(part), last(b).get(part)) for part in parts) and (
        without_seconds(a) == without_seconds(b)
    )


def test_a_healthy_run(command: Command) -> None:
    answer = command("fit", *SHORT, EPOCHS, 7)
    assert (answer.code, answer.err) == (0, "")
    assert names() == ["best.ckpt", "epoch-005.ckpt", "last.ckpt"]
    assert checkpoints.read(RUN / "checkpoints" / "epoch-005.ckpt").epoch == 4
    assert last()["epoch"] == 6 and last()["global_step"] == 70

    rows = metrics()
    assert " ".join(rows[0]) == ("epoch train_loss train_accuracy val_loss val_accuracy lr seconds")
    assert [row["epoch"] for row in rows] == list("1234567")
    val_losses = [float(row["val_loss"]) for row in rows]
    best_epoch = val_losses.index(min(val_losses)) + 1

    found = summary()
    assert " ".join(found) == (
        "dataset n_train n_val n_trained n_test epochs best_epoch last best seconds device machine "
        "command seed versions"
    )
    assert found["dataset"] == "mnist-sample-5k"
    assert (found["n_train"], found["n_val"], found["n_test"]) == (3000, 1000, 1000)
    assert found["n_trained"] == 320 and "320 of 3,000 training images" in answer.out
    assert (found["epochs"], found["best_epoch"]) == (7, best_epoch)
    assert found["best"]["val_loss"] == min(val_losses)
    assert found["last"]["val_accuracy"] == float(rows[-1]["val_accuracy"])
    assert found["seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows), abs=0.01)

    lines = answer.out.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 7
    assert sum(line.startswith("conv1 ") for line in lines) == 1
    assert [line.split() for line in lines if line.startswith("total")] == [["total", "103,786"]]
    for which in ("best", "last"):
        (row,) = [line.split() for line in lines if line.split()[:1] == [which]]
        figures = [found[which][key] for key in ("val_loss", "val_accuracy", "test_loss")]
        assert row[1:5] == [str(found[which]["epoch"]), *(f"{figure:.4f}" for figure in figures)]
    assert f"run   {RUN}" in answer.out and "next  python -m mnist_lit test" in answer.out


def test_best_epoch_is_not_the_last(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 1)
    first = (RUN / "checkpoints" / "last.ckpt").read_bytes()
    command("fit", "--ckpt_path", "last", EPOCHS, 3)
    three = summary()
    # As if validation had found the first epoch the best; then only the end is done again.
    (RUN / "checkpoints" / "best.ckpt").write_bytes(first)
    (RUN / "summary.json").unlink()
    assert command("fit", "--ckpt_path", "last").code == 0
    found = summary()
    assert (found["epochs"], found["best_epoch"]) == (3, 1)
    assert found["last"] == three["last"] and found["seconds"] == three["seconds"]
    assert found["best"]["val_loss"] == float(metrics()[0]["val_loss"])
    assert len(metrics()) == 3


@pytest.mark.usefixtures("trained")
def test_tensorboard_draws_both_parts_of_a_quantity_into_one_chart() -> None:
    for part in ("train", "val"):
        events = EventAccumulator(str(RUN / part)).Reload()
        assert set(events.Tags()["scalars"]) == {"loss", "accuracy"}
        points = [(event.step, event.value) for event in events.Scalars("loss")]
        expected = [(int(row["epoch"]), float(row[f"{part}_loss"])) for row in metrics()]
        assert points == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    root = EventAccumulator(str(RUN)).Reload()
    assert root.Scalars("test_accuracy")[0].value == pytest.approx(
        summary()["last"]["test_accuracy"]
    )
    assert "_hparams_/session_start_info" in root.summary_metadata
    assert [(event.step, event.value) for event in root.Scalars("lr")] == [
        (epoch, pytest.approx(0.001)) for epoch in (1, 2)
    ]
    (table,) = root.Tensors("network/text_summary")
    assert b"| conv1 | Conv2d | 32\xc3\x9725\xc3\x9725 | 544 |" in table.tensor_proto.string_val[0]


def test_without_validation(command: Command) -> None:
    answer = command("fit", *SHORT, EPOCHS, 1, "--data.val_split", 0)
    assert (answer.code, answer.err) == (0, "")
    assert names() == ["last.ckpt"]
    assert (metrics()[0]["val_loss"], metrics()[0]["val_accuracy"]) == ("", "")
    assert summary()["best"] is None and summary()["best_epoch"] is None
    assert (summary()["n_train"], summary()["n_val"]) == (4000, 0)


def test_checkpoint_describes_itself(trained: Path) -> None:
    content = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    assert plain(content["hyper_parameters"]) and plain(content["config"])
    assert content["hyper_parameters"]["dataset"] == "mnist-sample-5k"
    assert content["hyper_parameters"]["class_names"] == list("0123456789")
    assert content["hyper_parameters"]["preprocessing"] == "mnist"


def test_names_and_versions(command: Command) -> None:
    for name in (None, None, "other"):
        option = () if name is None else ("--name", name)
        assert command("fit", *SHORT, EPOCHS, 1, *option).code == 0
    found = sorted(str(path) for path in Path("runs").glob("*/*"))
    assert found == ["runs/mnist/version_0", "runs/mnist/version_1", "runs/other/version_0"]


def test_same_seed_same_weights_and_config_repeats_the_run(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 2, "--seed_everything", 7)
    command("fit", "--config", RUN / "config.yaml")
    command("fit", *SHORT, EPOCHS, 2, "--seed_everything", 8)
    first, repeated, other = (Path(f"runs/mnist/version_{n}") for n in range(3))
    assert same_training(first, repeated)
    assert not equal(last(first)["state_dict"], last(other)["state_dict"])
    config = yaml.safe_load((first / "config.yaml").read_text())
    assert config == yaml.safe_load((repeated / "config.yaml").read_text())


def stopped_after(epoch: int, *args: object) -> None:
    """Train in another process; kill it once it has told of `epoch`, in the middle of the next."""
    arguments = [sys.executable, "-m", "mnist_lit", "fit", *map(str, args)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"epoch {epoch}/"):
                break
        process.kill()
    assert process.returncode == -9
    # TensorBoard names its files by the second. Another process takes longer than that to start,
    # and so do users; these tests go on in their own.
    time.sleep(1)


@pytest.mark.parametrize("config_name, more", [
    ("keras", ()), ("accurate", ("--model.teacher", "pretrained")),
])  # fmt: skip
def test_killed_and_resumed_run_is_bitwise_the_undisturbed_one(
    command: Command, config_name: str, more: tuple[str, ...]
) -> None:
    config = ("--config", CONFIGS / f"{config_name}.yaml", "--data.val_split", 0.2)
    options = (
        *config,
        *more,
        "--data.source",
        "sample",
        "--trainer.limit_train_batches",
        20,
        EPOCHS,
        5,
    )
    stopped_after(3, *options)
    assert names()[-1] == "last.ckpt" and last()["epoch"] in (1, 2)
    assert not (RUN / "summary.json").exists()
    answer = command("fit", "--ckpt_path", "last")
    assert (answer.code, answer.err) == (0, "")
    assert "epoch 5/5" in answer.out and "epoch 1/5" not in answer.out
    assert [path.name for path in Path("runs/mnist").iterdir()] == ["version_0"]

    command("fit", *options, "--name", "undisturbed")
    undisturbed = Path("runs/undisturbed/version_0")
    assert same_training(RUN, undisturbed)
    assert summary()["best_epoch"] == summary(undisturbed)["best_epoch"]
    best = [checkpoints.read(run / "checkpoints" / "best.ckpt") for run in (RUN, undisturbed)]
    assert equal(best[0].weights, best[1].weights)
    events = EventAccumulator(str(RUN / "val")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("trained")
def test_resume_drops_metrics_past_the_checkpoint(command: Command) -> None:
    expected = without_seconds(RUN)
    with (RUN / "metrics.csv").open("a") as file:
        file.write("3,9,9,9,9,9,9\n")
    command("fit", "--ckpt_path", "last", EPOCHS, 3)
    assert without_seconds(RUN)[:2] == expected
    assert [row["epoch"] for row in metrics()] == ["1", "2", "3"]
    assert float(metrics()[2]["train_loss"]) < 9


def test_resume_before_the_first_epoch_ended(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 2, "--seed_everything", 3)
    undisturbed = without_seconds(RUN)
    for path in (RUN / "checkpoints").iterdir():
        path.unlink()
    (RUN / "metrics.csv").unlink()
    (RUN / "summary.json").unlink()
    assert command("fit", "--ckpt_path", "last").code == 0
    assert without_seconds(RUN) == undisturbed


@pytest.mark.usefixtures("trained")
def test_finished_run_says_so(command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in RUN.rglob("*")}
    steps = ("--trainer.max_steps", 20)
    for option in ((), (EPOCHS, 2), (EPOCHS, 1), steps, (*steps, EPOCHS, 9)):
        answer = command("fit", "--ckpt_path", "last", *option)
        assert answer.code == 0
        assert answer.out.startswith(f"{RUN} is finished (epoch 2)")
    assert {path: path.stat().st_mtime_ns for path in RUN.rglob("*")} == before


def test_newest_run_is_resumed_across_names(command: Command) -> None:
    for name in ("b", "a"):
        command("fit", *SHORT, EPOCHS, 1, "--name", name)
    command("fit", "--ckpt_path", "last", EPOCHS, 2)
    assert len(metrics(Path("runs/a/version_0"))) == 2
    assert len(metrics(Path("runs/b/version_0"))) == 1
    # The latest start counts, and going on is one.
    command("fit", "--ckpt_path", "runs/b/version_0/checkpoints/last.ckpt", EPOCHS, 2)
    command("fit", "--ckpt_path", "last", EPOCHS, 3)
    assert len(metrics(Path("runs/b/version_0"))) == 3


def test_older_checkpoint_opens_a_new_version(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 6)
    older = RUN / "checkpoints" / "epoch-005.ckpt"
    before = {path: path.stat().st_mtime_ns for path in RUN.rglob("*")}
    assert command("fit", "--ckpt_path", older, EPOCHS, 6).code == 0
    assert {path: path.stat().st_mtime_ns for path in RUN.rglob("*")} == before
    assert same_training(RUN, Path("runs/mnist/version_1"))
    events = EventAccumulator("runs/mnist/version_1/train").Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "option, value, recorded",
    [
        ("--model.lr", "0.5", "0.001"),
        ("--data.batch_size", "64", "32"),
        ("--data.source", "auto", "sample"),
        ("--seed_everything", "4", "0"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_only_the_trainers_options_may_change(
    command: Command, option: str, value: str, recorded: str
) -> None:
    answer = command("fit", "--ckpt_path", "last", EPOCHS, 3, option, value)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {option} {value} differs from {recorded} in {RUN}")
    assert len(metrics()) == 2


def test_schedule_fixes_its_length(command: Command) -> None:
    options = ("--model.schedule", "one_cycle", "--model.lr", 0.004)
    command("fit", *SHORT, EPOCHS, 2, *options)
    assert float(metrics()[0]["lr"]) == pytest.approx(0.004 / 25)
    # The peak is at step 5 of 0 to 19; from there half a cosine leads to (nearly) nothing.
    halfway = 0.004 * (1 + math.cos(math.pi * 5 / 14)) / 2
    assert float(metrics()[1]["lr"]) == pytest.approx(halfway, rel=1e-3)
    answer = command("fit", "--ckpt_path", "last", EPOCHS, 3)
    assert answer.code == 2
    assert answer.err.startswith(f"error: --trainer.max_epochs 3 differs from 2 in {RUN}")
    assert command("fit", "--ckpt_path", "last", EPOCHS, 2).code == 0


def test_schedule_needs_an_end(command: Command) -> None:
    answer = command("fit", *SHORT, EPOCHS, -1, "--model.schedule", "one_cycle")
    assert answer.code == 2 and "give --trainer.max_epochs" in answer.err


@pytest.mark.usefixtures("trained")
def test_values_that_agree_are_no_difference(command: Command) -> None:
    answer = command("fit", "--ckpt_path", "last", *SHORT, EPOCHS, 3, "--model.lr", "1e-3")
    assert answer.code == 0


@pytest.mark.usefixtures("trained")
def test_weights_start_a_new_run(command: Command) -> None:
    first = RUN / "checkpoints" / "last.ckpt"
    # A learning rate that moves nothing shows what the run started from.
    options = ("--weights", first, "--name", "tuned", "--model.lr", "1e-30")
    assert command("fit", *SHORT, EPOCHS, 1, *options).code == 0
    tuned = last(Path("runs/tuned/version_0"))
    for name, value in last()["state_dict"].items():
        torch.testing.assert_close(tuned["state_dict"][name], value, rtol=0, atol=1e-20)
    assert tuned["global_step"] == 10 and tuned["optimizer_states"][0]["state"][0]["step"] == 10
    answer = command("fit", "--weights", first, "--ckpt_path", "last")
    assert answer.code == 2 and "--weights" in answer.err
    # Going on needs the weights no more.
    first.unlink()
    assert command("fit", "--ckpt_path", "last", EPOCHS, 2).code == 0


def test_weights_that_have_seen_the_images(command: Command) -> None:
    options = (*SHORT, EPOCHS, 1)
    out = command("fit", *options, "--weights", "pretrained").out
    assert "pretrained.safetensors was trained on mnist, which holds the sample's images" in out
    command("fit", *options, "--data.val_split", 0, "--name", "all")
    path = "runs/all/version_0/checkpoints/last.ckpt"
    out = command("fit", *options, "--weights", path, "--name", "tuned").out
    assert f"{path} was trained with val_split 0.0: metrics on validation images" in out
    path = path.replace("all", "mnist")
    assert "do not count" not in command("fit", *options, "--weights", path).out


@pytest.mark.usefixtures("trained")
def test_last_is_of_the_newest_run(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 1, "--name", "other")
    answer = command("fit", "--ckpt_path", "last", "--name", "mnist", EPOCHS, 3)
    assert answer.code == 2
    assert "newest run, which is runs/other/version_0 and not --name mnist" in answer.err
    assert f"give --ckpt_path {RUN}/checkpoints/last.ckpt" in answer.err
    answer = command("fit", "--ckpt_path", "last", "--name", "third")
    assert answer.code == 2 and "leave --name out" in answer.err
    assert command("fit", "--ckpt_path", "last", "--name", "other", EPOCHS, 2).code == 0


def test_teachers(command: Command) -> None:
    options = (*SHORT, EPOCHS, 1)
    command("fit", *options, "--name", "a")
    shutil.copy("runs/a/version_0/checkpoints/last.ckpt", "a.ckpt")
    taught = (*options, "--model.teacher", "[a.ckpt, pretrained]", "--name", "taught")
    answer = command("fit", *taught)
    assert answer.code == 0
    assert "pretrained.safetensors was trained on mnist, which holds the sample's" in answer.out
    run = Path("runs/taught/version_0")
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["teacher"] == [
        "a.ckpt", "pretrained",
    ]  # fmt: skip
    assert not any("teacher" in name for name in last(run)["state_dict"])
    assert not equal(last(run)["state_dict"], last(Path("runs/a/version_0"))["state_dict"])

    # To learn on, the same files are needed; to answer, none.
    resume = ("fit", "--ckpt_path", "last", EPOCHS, 2)
    shutil.copy(run / "checkpoints" / "last.ckpt", "a.ckpt")
    answer = command(*resume)
    assert answer.code == 2 and "isn't what the run began to learn from" in answer.err
    Path("a.ckpt").unlink()
    answer = command(*resume)
    assert answer.code == 2 and "a.ckpt is not there" in answer.err
    assert command("test").code == 0
    assert len(metrics(run)) == 1


def test_limits_are_whole_numbers_of_batches(command: Command) -> None:
    limits = [f"--trainer.limit_{part}_batches=1" for part in ("train", "val", "test")]
    command("fit", "--data.source", "sample", EPOCHS, 1, *limits)
    assert last()["global_step"] == 1
    assert summary()["n_test"] == 500
    assert summary()["last"]["test_accuracy"] * 500 % 1 == pytest.approx(0)
    command("fit", "--data.source", "sample", EPOCHS, 1, "--trainer.limit_train_batches", "1.0")
    assert last(Path("runs/mnist/version_1"))["global_step"] == 94


def test_weights_of_other_classes(tmp_path: Path) -> None:
    import lightning.pytorch as pl

    from mnist_lit import MNISTModule
    from mnist_lit.training.weights import start_from

    two = MNISTModule(num_classes=2)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False)
    trainer.strategy.connect(two)
    trainer.save_checkpoint("two.ckpt")
    module = MNISTModule()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert start_from(module, "two.ckpt") == ["dense2"]
    for name, value in module.state_dict().items():
        expected = before[name] if "dense2" in name else two.state_dict()[name]
        assert torch.equal(value, expected), name


@pytest.mark.parametrize(
    "options",
    [
        ("--trainer.accumulate_grad_batches", 2),
        ("--trainer.precision", "bf16-mixed"),
        ("--trainer.precision", "bf16-true"),
        ("--trainer.precision", "64-true"),
        ("--trainer.gradient_clip_val", 0.5),
        ("--trainer.max_steps", 4),
        ("--trainer.check_val_every_n_epoch", 2),
        ("--trainer.val_check_interval", 5),
        ("--trainer.num_sanity_val_steps", 2),
        ("--trainer.limit_val_batches", 0),
        ("--trainer.enable_progress_bar", "false"),
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_trainer_options_keep_working(command: Command, options: tuple[str, object]) -> None:
    answer = command("fit", *SHORT, EPOCHS, 2, *options)
    assert (answer.code, answer.err) == (0, "")
    steps = {"--trainer.accumulate_grad_batches": 10, "--trainer.max_steps": 4}
    assert last()["global_step"] == steps.get(options[0], 20)
    validated = [bool(row["val_loss"]) for row in metrics()]
    assert validated == {
        "--trainer.check_val_every_n_epoch": [False, True],
        "--trainer.limit_val_batches": [False, False],
        "--trainer.max_steps": [False],
    }.get(options[0], [True, True])


def test_resume_in_the_middle_of_an_epoch_is_refused(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 2, "--trainer.max_steps", 4)
    answer = command("fit", "--ckpt_path", "last", "--trainer.max_steps", 20)
    assert answer.code == 2
    assert f"{RUN}/checkpoints/last.ckpt was saved in the middle of epoch 1" in answer.err


def test_run_stopped_within_an_epoch_keeps_the_one_before(command: Command) -> None:
    options = (*SHORT, EPOCHS, 2)
    answer = command("fit", *options, "--trainer.max_steps", 14)
    assert answer.code == 0
    assert "stopped within epoch 2 (max_steps or max_time): epoch 1 is kept" in answer.out
    assert len(metrics()) == 1 and last()["epoch"] == 0
    assert command("fit", "--ckpt_path", "last", "--trainer.max_steps", -1).code == 0
    command("fit", *options, "--name", "undisturbed")
    assert without_seconds(RUN) == without_seconds(Path("runs/undisturbed/version_0"))


def test_fast_dev_run_leaves_nothing(command: Command) -> None:
    assert command("fit", *SHORT, "--trainer.fast_dev_run", "true").code == 0
    assert list(Path().iterdir()) == []


def test_early_stopping(command: Command) -> None:
    stop = CONFIGS / "early_stopping.yaml"
    # Nothing is learnt, so nothing improves after the first epoch.
    answer = command("fit", "--config", stop, *SHORT, "--model.lr", "1e-30")
    assert (answer.code, answer.err) == (0, "")
    assert len(metrics()) == 6
    assert command("fit", "--ckpt_path", "last").out == (
        f"{RUN} is finished: it stopped early, after epoch 6\n"
    )


def test_next_command_in_another_folder(command: Command) -> None:
    answer = command("fit", *SHORT, EPOCHS, 1, "--trainer.default_root_dir", "else where")
    line = answer.out.split("next  python -m mnist_lit ")[1].splitlines()[0]
    assert command(*shlex.split(line)).code == 0


def test_diverging_run_keeps_its_last_good_epoch(command: Command) -> None:
    command("fit", *SHORT, EPOCHS, 1)
    content = (RUN / "checkpoints" / "last.ckpt").read_bytes()
    answer = command("fit", *SHORT, EPOCHS, 3, "--model.lr", "1e38", "--name", "wild")
    assert answer.code == 1
    assert "the train loss is nan in epoch 1 at step 2: lower --model.lr" in answer.err
    assert not Path("runs/wild").exists()  # it would hide the run that can be tested
    assert (RUN / "checkpoints" / "last.ckpt").read_bytes() == content


@pytest.mark.mnist
def test_real_mnist(command: Command, mnist_dir: Path) -> None:
    options = ("--trainer.limit_train_batches", 300, EPOCHS, 1)
    answer = command("fit", "--data.data_dir", mnist_dir, *options)
    assert (answer.code, answer.err) == (0, "")
    found = summary()
    assert (found["dataset"], found["n_train"]) == ("mnist", 48_000)
    assert (found["n_val"], found["n_test"]) == (12_000, 10_000)
    # 300 steps reach 0.93 to 0.95; without labels that belong to the images it would be 0.1.
    assert found["last"]["test_accuracy"] > 0.9


# When Ctrl-C is pressed: what is then called, and in which epoch, from 0.
MOMENTS = {
    "before the first step": (MNISTModule, "on_train_start", 2),
    "in the first resumed epoch": (MNISTModule, "on_train_batch_start", 2),
    "between epochs": (MNISTModule, "on_train_epoch_start", 3),
    "in the last save": (SafeCheckpointIO, "save_checkpoint", 3),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_resumed_run_was_asked_for_lasts(
    command: Command, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Stopped at any moment, it resumes to the end that it was given, not the one before."""
    owner, called, epoch = MOMENTS[moment]
    original = getattr(owner, called)

    def stop(self: Any, *args: Any, **options: Any) -> Any:
        now = args[0]["epoch"] if owner is SafeCheckpointIO else self.current_epoch
        if now == epoch:
            raise Interrupted(signal.SIGINT)
        return original(self, *args, **options)

    assert command("fit", *SHORT, EPOCHS, 2).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(owner, called, stop)
        answer = command("fit", "--ckpt_path", "last", EPOCHS, 4)
    assert answer.code == 130 and answer.err.strip().endswith("fit --ckpt_path last")
    assert command("fit", "--ckpt_path", "last").code == 0
    assert [row["epoch"] for row in metrics()] == ["1", "2", "3", "4"]
    assert yaml.safe_load((RUN / "config.yaml").read_text())["trainer"]["max_epochs"] == 4


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (("--epochs", 3), "did you mean --trainer.max_epochs?"),
        (("--device", "cuda"), "did you mean --trainer.accelerator?"),
        (("--lr", 0.1), "did you mean --model.lr?"),
        (("--model.learning_rate", 0.1), "did you mean --model.lr?"),
        (("--seed", 1), "did you mean --seed_everything?"),
        (("--trainer.max_epoch", 3), "did you mean --trainer.max_epochs?"),
    ],
)
def test_options_of_other_tools(command: Command, args: tuple[object, ...], remedy: str) -> None:
    answer = command("fit", "--data.source", "sample", *args)
    assert answer.code == 2 and answer.err.strip().endswith(remedy)
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["1e-3", "12e3"])
def test_name_that_looks_like_a_number(command: Command, name: str) -> None:
    assert command("fit", *SHORT, EPOCHS, 1, "--name", name).code == 0
    config = Path("runs") / name / "version_0" / "config.yaml"
    assert command("fit", "--ckpt_path", "last", EPOCHS, 2).code == 0
    assert command("test").code == 0
    assert command("fit", "--config", config, EPOCHS, 1).code == 0
    assert (config.parent.parent / "version_1").is_dir()


def test_learning_rate_monitor(command: Command) -> None:
    """A callback that needs a logger logs into the run's own files, and what we draw stays once."""
    options = (*SHORT, "--trainer.max_epochs", 1, "--trainer.log_every_n_steps", 1)
    done = command("fit", *options, "--trainer.callbacks+=LearningRateMonitor")
    assert (done.code, done.err) == (0, "")
    events = EventAccumulator("runs/mnist/version_0").Reload()
    assert {point.step for point in events.Scalars("lr-Adam")} == set(range(10))
    assert events.Scalars("lr-Adam")[0].value == pytest.approx(1e-3)
    assert {"val_loss", "val_accuracy", "epoch"}.isdisjoint(events.Tags()["scalars"])
    assert not Path("lightning_logs").exists()


CALLBACKS = {
    "StochasticWeightAveraging": ("--trainer.callbacks.swa_lrs", 0.001),
    "EMAWeightAveraging": ("--trainer.callbacks.decay", 0.9),
    "EarlyStopping": ("--trainer.callbacks.monitor", "val_loss"),
    "GradientAccumulationScheduler": ("--trainer.callbacks.scheduling", "{0: 2}"),
    "Timer": ("--trainer.callbacks.duration", "00:01:00:00"),
    "DeviceStatsMonitor": ("--trainer.callbacks.cpu_stats", "false"),
    "ModelCheckpoint": ("--trainer.callbacks.save_last", "true"),
    "ModelSummary": ("--trainer.callbacks.max_depth", 1),
}


@pytest.mark.undrawn
@pytest.mark.parametrize("name", CALLBACKS)
def test_runs_with_lightnings_callbacks_are_resumed_and_repeated(
    command: Command, name: str
) -> None:
    given = (f"--trainer.callbacks+={name}", *CALLBACKS[name])
    assert command("fit", *SHORT, "--trainer.max_epochs", 1, *given).code == 0
    assert "Unable to serialize" not in Path("runs/mnist/version_0/config.yaml").read_text()
    assert command("fit", "--ckpt_path", "last", "--trainer.max_epochs", 2).code == 0
    assert command("fit", "--config", "runs/mnist/version_0/config.yaml").code == 0
    rows = list(csv.DictReader(Path("runs/mnist/version_1/metrics.csv").read_text().splitlines()))
    assert len(rows) == 2
    # A checkpoint callback of the user's own doesn't write among ours.
    written = {path.name for path in Path("runs/mnist/version_1/checkpoints").iterdir()}
    assert written == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            "--trainer.logger WandbLogger",
            "WandbLogger needs a package that isn't installed: python -m pip install \"wandb",
        ),
        (
            "--trainer.callbacks+=EarlyStopping",
            "--trainer.callbacks EarlyStopping: the following arguments are required: monitor",
        ),
        (
            "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val_loss "
            "--trainer.callbacks.mode up",
            "EarlyStopping: `mode` can be min, max, got up",
        ),
        ("--trainer.logger CSVLogger", "--trainer.logger CSVLogger: the following arguments are"),
        (
            "--trainer.callbacks+=LearningRateMonitr",
            "--trainer.callbacks LearningRateMonitr is no class of Lightning's: did you mean "
            "LearningRateMonitor?",
        ),
        (
            "--trainer.logger CSVLoger",
            "--trainer.logger CSVLoger is no class of Lightning's: did you mean CSVLogger?",
        ),
    ],
)
def test_arguments_of_callbacks_and_loggers(command: Command, options: str, error: str) -> None:
    done = command("fit", *SHORT, *options.split())
    assert done.code == 2 and done.err.startswith(f"error: {error}") and done.err.count("\n") == 1
    assert not Path("runs").exists()


def test_resuming_keeps_the_number_of_threads(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums come out bit for bit the same in as many threads."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert command("fit", *SHORT, "--trainer.max_epochs", 1).code == 0
        content = checkpoints.read(Path("runs/mnist/version_0/checkpoints/last.ckpt")).content
        assert content["threads"] == 3
        torch.set_num_threads(1)
        assert command("fit", "--ckpt_path", "last", "--trainer.max_epochs", 2).code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    summary = json.loads(Path("runs/mnist/version_0/summary.json").read_text())
    assert "threads: 3," in summary["machine"]


@pytest.mark.parametrize(
    "threads, policy, told", [(2, "", True), (1, "", False), (2, "PASSIVE", False)]
)
def test_starving_is_told_once(
    command: Command, monkeypatch: pytest.MonkeyPatch, threads: int, policy: str, told: bool
) -> None:
    waited = iter(range(1000))
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.setattr("mnist_lit.cores.waited", lambda: next(waited))
    monkeypatch.setattr("mnist_lit.training.progress.Starvation.EVERY", 0)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        done = command("fit", *SHORT, "--trainer.max_epochs", 1)
    finally:
        torch.set_num_threads(before)
    assert done.code == 0 and done.err.count("other processes take the cores") == told
