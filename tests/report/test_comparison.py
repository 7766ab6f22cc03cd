"""Runs side by side: only what is comparable is put together."""

from pathlib import Path
from statistics import mean, stdev

import pytest

from mnist_lit.report import comparison, contents
from mnist_lit.report.report import Drawn
from mnist_lit.runs import summary
from mnist_lit.runs.run import Run
from records import rows_of, write_run

PAGE = Path("compare.html")


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        comparison, "draw_all", lambda drawings: {"curves": Drawn(b"", {"light": "", "dark": ""})}
    )


def compare(*runs: Run) -> tuple[list[comparison.Group], str]:
    _, groups = comparison.compare(runs, PAGE)
    return groups, " ".join(PAGE.read_text("utf-8").split())


def seeded(folder: str, seed: int, accuracy: float = 0.5, **options: object) -> Run:
    config = {"seed_everything": seed, **options.pop("config", {})}  # type: ignore[dict-item]
    return write_run(folder, rows_of(0.6, 0.7), config=config, accuracy=accuracy, **options)  # type: ignore[arg-type]


def test_runs_that_differ_in_the_seed_alone() -> None:
    runs = [seeded("a", 0, 0.5), seeded("b", 1, 0.6), seeded("c", 2, 0.8)]
    (group,), text = compare(*runs)
    assert [str(run) for run in group.runs] == ["a", "b", "c"]
    assert group.mean == pytest.approx(mean([0.5, 0.6, 0.8]))
    assert group.sd == pytest.approx(stdev([0.5, 0.6, 0.8]))
    assert "These 3 runs differ in the seed alone: a, b, c." in text
    assert f"<strong>{group.mean:.4f} ± {group.sd:.4f}</strong>" in text
    assert "<td>seed_everything</td><td>0</td><td>1</td><td>2</td>" in text


def other_versions(folder: str, seed: int) -> Run:
    run = seeded(folder, seed)
    content = summary.read(run)
    assert content
    summary.write(run, content | {"versions": {"torch": "3", "lightning": "2"}})
    return run


def test_runs_that_differ_in_more() -> None:
    runs = [
        seeded("first", 0),
        seeded("same seed", 0),
        seeded("other data", 1, dataset="mnist-sample-5k"),
        seeded("changed pictures", 2, fingerprint="another"),
        seeded("other setting", 3, config={"trainer.max_epochs": 9}),
        seeded("other network", 4, network="small"),
        seeded("not finished", 5, finished=False),
        other_versions("other versions", 6),
    ]
    groups, text = compare(*runs)
    assert groups == []
    assert "<td>version of torch</td><td>2</td>" in text


def test_same_seed_counts_once() -> None:
    (group,), _ = compare(seeded("a", 0, 0.5), seeded("again", 0, 0.9), seeded("b", 1, 0.7))
    assert [str(run) for run in group.runs] == ["a", "b"]
    assert group.mean == pytest.approx(0.6)


def test_what_only_a_resumed_run_spells_out() -> None:
    resumed = {
        "name": "y", "ckpt_path": "last", "data.source": "full", "data.preprocessing": "plain",
        "data.image_size": 28, "data.data_dir": "elsewhere",
    }  # fmt: skip
    (group,), text = compare(seeded("a", 0), seeded("b", 1, config=resumed))
    assert len(group.runs) == 2
    for name in (*resumed, "model.network"):
        assert f"<td>{name}</td>" not in text


def test_data_sets_are_named() -> None:
    _, text = compare(seeded("a", 0, dataset="mnist"), seeded("b", 0, dataset="mnist-sample-5k"))
    assert "different data sets: <bdi>mnist</bdi>, <bdi>mnist-sample-5k</bdi>" in text
    assert "<td>a</td> <td>mnist</td>" in text
    _, text = compare(seeded("c", 0), seeded("d", 1))
    assert "different data sets" not in text


def test_run_without_a_checkpoint_or_an_end() -> None:
    _, text = compare(seeded("a", 0), seeded("b", 1, names=(), finished=False))
    assert "<td>b (not finished)</td> <td>unknown</td>" in text


def test_unfinished_run_shows_what_its_own_report_shows() -> None:
    digits = [str(n) for n in range(10)]
    run = seeded(
        "a", 0, names=digits, finished=False, dataset="mnist-sample-5k",
        config={"data.dataset": "mnist"},
    )  # fmt: skip
    best, last = contents.gather(run).results
    _, text = compare(run, seeded("b", 1))
    assert f"<td>{best.test_accuracy:.4f}</td><td>{last.test_accuracy:.4f}</td>" in text


def test_unfinished_run_whose_data_are_gone() -> None:
    _, text = compare(seeded("a", 0, finished=False), seeded("b", 1))
    assert "a has no test accuracy: pictures is not there" in text


def test_settings_that_differ() -> None:
    _, text = compare(
        seeded("a", 0, config={"model.lr": 0.1, "data.val_split": 0.2}),
        seeded("b", 0, config={"data.val_split": 0.2}, finished=False),
    )
    assert "<td>model.lr</td><td>0.1</td><td>–</td>" in text
    for same in ("val_split", "seed_everything", "version of"):
        assert same not in text
