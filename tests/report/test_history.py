"""What is read from the metrics of a run's epochs."""

from mnist_lit.report import history
from records import row, rows_of

ROWS = [
    row(i, *pair)
    for i, pair in enumerate(
        [(0.5, 0.4), (0.3, 0.35), (0.2, 0.15), (0.1, 0.18), (0.05, 0.2)], 1
    )
]  # fmt: skip


def test_parting() -> None:
    assert history.parting(ROWS) == 4
    assert history.parting(ROWS[:1]) is None  # validation is still better
    assert history.parting([row(1, 0.1, 0.2), row(2, 0.2, 0.1)]) is None
    assert history.parting([row(1, 0.1, 0.2)]) == 1
    assert history.parting([row(1, 0.1, None)]) is None


def test_best_epoch() -> None:
    assert history.best_epoch(ROWS) == 3
    assert history.best_epoch(rows_of(0.2, 0.1, 0.1)) == 2
    assert history.best_epoch([row(1, 0.1, None)]) is None


def test_early_stop() -> None:
    rows = rows_of(0.5, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.1)
    assert history.early_stop(rows) == (7, 2, 20.0)
    assert history.early_stop(rows[:7]) is None  # it ended there anyway
    assert history.early_stop(rows[:4]) is None
    assert history.early_stop([row(1, 0.5, None)]) is None
