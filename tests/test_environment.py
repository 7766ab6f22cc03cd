"""What is set for a process before PyTorch is imported."""

import os

import pytest

from mnist_lit import environment


def test_threads_spin_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    environment.share_cores()
    assert os.environ.pop("GOMP_SPINCOUNT") == "1000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    environment.share_cores()
    assert "GOMP_SPINCOUNT" not in os.environ
