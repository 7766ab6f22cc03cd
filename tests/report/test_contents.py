"""What a run has to report, from its files and from answers that are known already."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mnist_lit.data.datamodule import ImageDataset
from mnist_lit.errors import InputError, RunError
from mnist_lit.evaluation import Answers
from mnist_lit.network import inference
from mnist_lit.report import contents
from records import answers, row, rows_of, write_run

NAMES = ("a", "b")


def data(**changes: Any) -> Any:
    """Return a data module of three test images, as far as a report uses one."""
    images = torch.arange(3 * 28 * 28).remainder(256).to(torch.uint8).view(3, 1, 28, 28)
    values = {
        "name": "pictures",
        "class_names": list(NAMES),
        "image_size": 28,
        "dataset": SimpleNamespace(name="pictures", odd=["one is odd"], fingerprint=""),
        "splits": {"test": ImageDataset(images, torch.tensor([0, 1, 0]))},
        "prepare_data": lambda: None,
        "setup": lambda stage: None,
    }
    return SimpleNamespace(**(values | changes))


def test_known_answers_are_not_asked_again(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*args: Any) -> Any:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(inference, "log_probabilities", asked)
    run = write_run("run", rows_of(0.6, 0.7))
    best, last = answers([3, 3], seed=1), answers([3, 3], seed=2)
    found = contents.gather(run, {"best": best, "last": last})
    assert found.answers is best
    assert found.results == (("best", 1, best.accuracy), ("last", 2, last.accuracy))
    assert found.missing is None and found.dataset == "pictures"


def test_networks_are_asked_where_answers_are_unknown() -> None:
    run = write_run("run", rows_of(0.6, 0.7))
    given = data()
    found = contents.gather(run, data=given)
    assert [result.name for result in found.results] == ["best", "last"]
    assert found.checkpoint and found.answers and found.odd == ("one is odd",)
    test = given.splits["test"]
    expected = inference.log_probabilities(found.checkpoint.build(), test.images).numpy()
    assert np.array_equal(found.answers.log_probabilities, expected)
    assert np.array_equal(found.answers.images, test.images[:, 0].numpy())


def test_one_result_where_the_best_is_the_last() -> None:
    run = write_run("run", rows_of(0.7, 0.6))
    found = contents.gather(run, data=data())
    assert [(result.name, result.epoch) for result in found.results] == [("best", 2)]


def test_the_last_where_nothing_was_validated() -> None:
    run = write_run("run", [row(1, 0.5, None)])
    found = contents.gather(run, data=data())
    assert [result.name for result in found.results] == ["last"]


def test_run_without_a_checkpoint() -> None:
    found = contents.gather(write_run("run", rows_of(0.7), names=()))
    assert (found.checkpoint, found.answers, found.missing) == (None, None, None)
    assert found.dataset == "pictures"  # as its summary says
    unfinished = write_run("other", rows_of(0.7), names=(), finished=False)
    assert contents.gather(unfinished).dataset is None


def unavailable() -> None:
    raise RunError("pictures", "cannot be had", "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "others"}, "the data given is others"),
        ({"class_names": ["a", "c"]}, "other class names than pictures has"),
        ({"image_size": 64}, "other image size than pictures has"),
        ({"splits": {}}, "has no test images"),
        ({"prepare_data": unavailable}, "cannot be had"),
    ],
)
def test_without_fitting_test_images(changes: dict[str, Any], said: str) -> None:
    found = contents.gather(write_run("run", rows_of(0.6)), data=data(**changes))
    assert found.checkpoint and found.answers is None and found.results == ()
    assert found.missing and said in found.missing


def test_data_that_have_changed() -> None:
    run = write_run("run", rows_of(0.6), fingerprint="before")
    found = contents.gather(run, data=data())
    assert found.odd[0] == "one is odd" and "pictures has changed since" in found.odd[1]


def test_run_without_epochs() -> None:
    run = write_run("run", [])
    with pytest.raises(InputError) as error:
        contents.gather(run)
    assert error.value.subject == run.folder and error.value.problem == "has finished no epoch"


def test_answers_have_the_images_size() -> None:
    known = answers([2, 2], side=64)
    run = write_run("run", rows_of(0.6), image_size=64)
    found = contents.gather(run, {"best": known})
    assert isinstance(found.answers, Answers) and found.answers.images.shape == (4, 64, 64)
