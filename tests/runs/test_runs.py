"""Run folders: their numbers, the newest, what a checkpoint's name means, what is written."""

import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mnist_lit.errors import Argument, InputError
from mnist_lit.files import write_json
from mnist_lit.runs import finding, metrics
from mnist_lit.runs import run as runs
from mnist_lit.runs.run import Run
from mnist_lit.training.module import MNISTModule

ROOT = Path("runs")


def started(name: str, version: int, at: int) -> Run:
    """Make a run that started `at` seconds."""
    run = Run(ROOT / name / f"version_{version}")
    run.write_config({"at": at})
    os.utime(run.config, (at, at))
    return run


def checkpoint(path: Path, epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = dict(MNISTModule(2).hparams)
    torch.save({"epoch": epoch, "state_dict": {}, "hyper_parameters": values}, path)


@pytest.mark.parametrize(
    "there, version",
    [
        ([], 0),
        (["version_0"], 1),
        (["version_3"], 4),
        (["version_9", "version_10"], 11),
        (["version_x", "version_", "version_-1", "version_5_old", "version_1.5", "mine_7"], 0),
        (["version_0", "version_x"], 1),
    ],
)
def test_next_version(there: list[str], version: int) -> None:
    for name in there:
        (ROOT / "mnist" / name).mkdir(parents=True)
    (ROOT / "other" / "version_20").mkdir(parents=True)
    run = runs.create(ROOT, "mnist")
    assert run.folder == ROOT / "mnist" / f"version_{version}"
    assert str(run) == f"runs/mnist/version_{version}"
    assert list(run.folder.iterdir()) == []


def test_runs_that_start_together(monkeypatch: pytest.MonkeyPatch) -> None:
    runs.create(ROOT, "mnist")
    runs.create(ROOT, "mnist")

    def before(folder: Path, pattern: str) -> Iterator[Path]:
        return iter(())

    monkeypatch.setattr(Path, "glob", before)  # both others began after this one had looked
    assert runs.create(ROOT, "mnist").folder == ROOT / "mnist/version_2"


def test_newest_is_the_latest_start_across_names() -> None:
    started("mnist", 0, 30)
    started("mnist", 1, 10)
    started("other", 0, 20)
    assert finding.newest(ROOT).folder == ROOT / "mnist/version_0"
    started("other", 0, 40)  # goes on
    assert finding.newest(ROOT).folder == ROOT / "other/version_0"


def test_newest_has_started() -> None:
    started("mnist", 0, 30)
    runs.create(ROOT, "mnist")
    (ROOT / "config.yaml").touch()
    (ROOT / "mnist/config.yaml").touch()
    assert finding.newest(ROOT).folder == ROOT / "mnist/version_0"


def test_no_run() -> None:
    runs.create(ROOT, "mnist")
    for which in (None, "best", "last"):
        with pytest.raises(InputError, match="there is no run in runs: train one"):
            finding.find_checkpoint(which, ROOT)


@pytest.mark.parametrize(
    "which, there, found",
    [
        (None, ["best", "last"], "best"),
        ("best", ["best", "last"], "best"),
        ("last", ["best", "last"], "last"),
        ("last", ["last"], "last"),
        (None, ["best"], "best"),
    ],
)
def test_find_checkpoint(
    which: str | None, there: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(started("mnist", 0, 10).best, 0)
    run = started("mnist", 1, 20)
    for name in there:
        checkpoint(run.checkpoints / f"{name}.ckpt", 0)
    assert finding.find_checkpoint(which, ROOT) == run.checkpoints / f"{found}.ckpt"
    assert capsys.readouterr().out == ""


def test_last_stands_in_for_best_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run = started("mnist", 0, 10)
    checkpoint(run.last, 0)
    assert finding.find_checkpoint(None, ROOT) == run.last
    (message,) = caplog.messages
    assert "runs/mnist/version_0 has no best checkpoint" in message and "last" in message


def test_best_is_not_there() -> None:
    checkpoint(started("mnist", 0, 10).last, 0)
    with pytest.raises(InputError, match="version_0 has no best checkpoint") as caught:
        finding.find_checkpoint("best", ROOT)
    assert caught.value.remedy == ("use", Argument("checkpoint", "last"))


@pytest.mark.parametrize("which", [None, "best", "last"])
def test_no_checkpoint_yet(which: str | None) -> None:
    checkpoint(started("mnist", 0, 10).last, 0)
    started("mnist", 1, 20)
    with pytest.raises(InputError, match="runs/mnist/version_1 has no checkpoint yet"):
        finding.find_checkpoint(which, ROOT)


def test_path_of_a_checkpoint_is_taken_as_it_is() -> None:
    assert finding.find_checkpoint("elsewhere/some.ckpt", ROOT) == Path("elsewhere/some.ckpt")


def test_run_of_a_checkpoint() -> None:
    run = started("mnist", 0, 10)
    for path in (run.last, run.checkpoints / "epoch-005.ckpt", run.last.absolute()):
        found = finding.run_of(path)
        assert found is not None
        assert found.folder == run.folder


def test_run_of_a_checkpoint_seen_from_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(started("mnist", 0, 10).folder)
    Path("checkpoints").mkdir(exist_ok=True)
    for folder, path in ((".", "checkpoints/last.ckpt"), ("checkpoints", "last.ckpt")):
        monkeypatch.chdir(folder)
        found = finding.run_of(Path(path))
        assert found is not None
        assert found.config.is_file()


@pytest.mark.parametrize(
    "path",
    [
        "some.ckpt",
        "runs/mnist/version_0/last.ckpt",
        "runs/mnist/version_0/other/last.ckpt",
        "runs/mnist/version_0/checkpoints/older/last.ckpt",
        "runs/mnist/version_1/checkpoints/last.ckpt",
    ],
)
def test_checkpoint_outside_any_run(path: str) -> None:
    started("mnist", 0, 10)
    runs.create(ROOT, "mnist")  # version_1 has no configuration
    assert finding.run_of(Path(path)) is None


@pytest.mark.parametrize("best, taken", [(3, True), (5, True), (6, False)])
def test_best_is_taken_over_unless_younger(best: int, taken: bool) -> None:
    old, new = started("mnist", 0, 10), runs.create(ROOT, "mnist")
    checkpoint(old.best, best)
    finding.copy_best(old.checkpoints / "epoch-006.ckpt", 5, new)
    assert new.best.is_file() == taken
    if taken:
        assert new.best.read_bytes() == old.best.read_bytes()


def test_no_best_to_take_over() -> None:
    new = runs.create(ROOT, "mnist")
    finding.copy_best(Path("elsewhere/some.ckpt"), 5, new)
    assert list(new.folder.iterdir()) == []


def test_damaged_best_is_not_taken_over() -> None:
    old, new = started("mnist", 0, 10), runs.create(ROOT, "mnist")
    checkpoint(old.best, 3)
    old.best.write_bytes(old.best.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{old.best} is not a whole checkpoint"):
        finding.copy_best(old.last, 5, new)
    assert list(new.folder.iterdir()) == []


def test_metrics() -> None:
    run = Run(ROOT / "mnist/version_0")
    full = {
        "epoch": 1,
        "train_loss": 0.1 + 0.2,
        "train_accuracy": 0.5,
        "val_loss": 1e-9,
        "val_accuracy": 1.0,
        "lr": 0.001,
        "seconds": 2.5,
    }
    shuffled = dict(reversed(full.items()))
    without = full | {"epoch": 2, "val_loss": None, "val_accuracy": None}
    metrics.write(run, [shuffled, without])
    assert run.metrics.read_text() == (
        "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds\n"
        "1,0.30000000000000004,0.5,1e-09,1.0,0.001,2.5\n"
        "2,0.30000000000000004,0.5,,,0.001,2.5\n"
    )
    del without["val_loss"]
    metrics.write(run, [without])
    (row,) = csv.DictReader(run.metrics.read_text().splitlines())
    assert row["val_loss"] == row["val_accuracy"] == ""
    metrics.write(run, [])
    assert run.metrics.read_text() == ",".join(metrics.COLUMNS) + "\n"


def test_config_is_read_as_written() -> None:
    run = Run(ROOT / "mnist/version_0")
    config = {"seed_everything": 1, "model": {"lr": 1e-05, "betas": [0.9, 0.999]}, "name": "Zürich"}
    run.write_config(config)
    assert run.read_config() == config
    assert list(run.read_config()) == list(config)
    assert "Zürich" in run.config.read_text("utf-8")


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "cannot be read"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"a: [1", "cannot be read"),
        (b"a: !!python/object/apply:os.mkdir [canary]", "cannot be read"),
        (b"", "holds no configuration"),
        (b"- a\n- b\n", "holds no configuration"),
        (b"text", "holds no configuration"),
    ],
)
def test_config_that_cannot_be_read(content: bytes | None, words: str) -> None:
    run = runs.create(ROOT, "mnist")
    if content is not None:
        run.config.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{run.config} {words}")):
        run.read_config()
    assert not Path("canary").exists()


def test_json() -> None:
    content = {"dataset": "mnist", "best": None, "names": ["Zürich"], "loss": 0.25}
    write_json(Path("a/summary.json"), content)
    text = Path("a/summary.json").read_text("utf-8")
    assert json.loads(text) == content
    assert "Zürich" in text and text.endswith("}\n")
