"""How many cores a process may use, and whether others keep them busy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_lit import cores


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of four cores, all of them for this process, without GNU OpenMP's settings."""
    monkeypatch.setattr(cores, "PROC", tmp_path)
    monkeypatch.setattr(cores, "available", lambda: 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("running, policy", [(1, None), (2, "PASSIVE"), (9, "PASSIVE")])
def test_threads_sleep_beside_others(proc: Path, running: int, policy: str | None) -> None:
    (proc / "loadavg").write_text(f"0.10 0.20 0.30 {running}/500 4711\n")
    cores.share()
    assert os.environ.get("OMP_WAIT_POLICY") == policy and cores.shared() is bool(policy)


def test_others_on_cores_that_are_not_ours(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 2)
    for running, policy in ((3, None), (4, "PASSIVE")):
        (proc / "loadavg").write_text(f"0.10 0.20 0.30 {running}/500 4711\n")
        cores.share()
        assert os.environ.get("OMP_WAIT_POLICY") == policy


@pytest.mark.parametrize("name, value", [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "5")])
def test_what_the_user_set_stays(
    proc: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (proc / "loadavg").write_text("0.10 0.20 0.30 9/500 4711\n")
    monkeypatch.setenv(name, value)
    cores.share()
    assert os.environ[name] == value
    assert len({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)) == 1


def test_where_the_system_does_not_say(proc: Path) -> None:
    assert cores.running() == 0 and cores.waited() == 0
    cores.share()
    assert not cores.shared()


def test_one_that_looks_is_seen(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two that began together, each asleep while the other looked, took three times as long.
    (proc / "loadavg").write_text("0.10 0.20 0.30 1/500 4711\n")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("asleep"))
    assert cores.running() == 0


def test_waiting_is_added_up_over_threads(proc: Path) -> None:
    for task, waited in (("1", 1_500_000_000), ("2", 500_000_000)):
        folder = proc / "self" / "task" / task
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(f"7 {waited} 3\n")
    assert cores.waited() == 2


def test_it_is_set_before_torch_is_loaded() -> None:
    code = (
        "import sys; from mnist_lit import cli, cores;"
        "cores.share = lambda: print('torch' in sys.modules); cli.run('test', '--xyzzy')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("False")
