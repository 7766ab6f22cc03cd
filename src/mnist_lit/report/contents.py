"""What a run has to report: its records, its network, and the network's answers to test images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.data import datasets
from mnist_lit.data.datamodule import ImageDataset, MNISTDataModule
from mnist_lit.errors import Argument, InputError, RunError
from mnist_lit.evaluation import Answers
from mnist_lit.network import inference
from mnist_lit.report.history import Rows
from mnist_lit.runs import metrics
from mnist_lit.runs import summary as summaries
from mnist_lit.runs.run import Run
from mnist_lit.training.weights import changed


class Result(NamedTuple):
    """How a checkpoint, `best` or `last`, answered the test images."""

    name: str
    epoch: int
    test_accuracy: float


@dataclass(frozen=True)
class Contents:
    """Everything that a run has to report.

    Args:
        run: The run.
        rows: A row for each epoch.
        summary: What its end wrote; None where it hasn't ended.
        checkpoints: The best and the last, as far as there are; one where both are of an epoch.
        results: How each of them answered; none where there are no test images.
        answers: The answers of the first of them.
        missing: Why there are no answers, unless there is no checkpoint either.
        odd: What is odd about the data, a line each.
    """

    run: Run
    rows: Rows
    summary: dict[str, Any] | None
    checkpoints: tuple[Checkpoint, ...] = ()
    results: tuple[Result, ...] = ()
    answers: Answers | None = None
    missing: str | None = None
    odd: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The one that is reported on: the best, or the last where nothing was validated."""
        return self.checkpoints[0] if self.checkpoints else None

    @property
    def dataset(self) -> str | None:
        """The name of the data set that the run really used."""
        if self.checkpoint:
            return self.checkpoint.dataset
        return self.summary["dataset"] if self.summary else None


def read(run: Run) -> Contents:
    """Return a run's records and checkpoints, without answers to test images.

    Raises:
        InputError: The run has no metrics, or a damaged file.
    """
    rows, summary = metrics.read(run), summaries.read(run)
    if not rows:
        raise InputError(run.folder, "has finished no epoch", "resume it, or wait for one")
    found = [checkpoints.read(path) for path in (run.best, run.last) if path.is_file()]
    if len(found) == 2 and found[0].epoch == found[1].epoch:
        found.pop()
    return Contents(run, rows, summary, tuple(found))


def gather(
    run: Run,
    answers: Mapping[str, Answers] | None = None,
    data: MNISTDataModule | None = None,
) -> Contents:
    """Return everything that a run has to report.

    Args:
        run: The run.
        answers: The answers of its checkpoints to the test images, by `best` and `last`; by default
            the networks are asked here.
        data: Where the test images come from; by default what the checkpoint says.

    Raises:
        InputError: The run has no metrics, or a damaged file.
    """
    contents = read(run)
    if contents.checkpoint is None:
        return contents
    if answers is None:
        try:
            data = data or MNISTDataModule(**datasets.options_of(contents.checkpoint))
            test = _test_images(data, contents.checkpoint)
        except (RunError, InputError) as error:
            return replace(contents, missing=str(error))
        answers = {own.path.stem: _ask(own, test) for own in contents.checkpoints}
    results = [
        Result(own.path.stem, own.epoch + 1, answers[own.path.stem].accuracy)
        for own in contents.checkpoints
    ]
    return replace(
        contents,
        results=tuple(results),
        answers=answers[results[0].name],
        odd=_odd(data, contents.checkpoint),
    )


def _test_images(data: MNISTDataModule, checkpoint: Checkpoint) -> ImageDataset:
    """Return the test images.

    Raises:
        InputError: They aren't those of the data set that the checkpoint was trained on.
        RunError: They cannot be had.
    """
    data.prepare_data()
    data.setup("test")
    if data.name != checkpoint.dataset:
        raise InputError(
            checkpoint.path,
            f"was trained on {checkpoint.dataset}, and the data given is {data.name}",
            ("give its own data by", Argument("dataset")),
        )
    for what in ("class_names", "image_size"):
        if getattr(data, what) != getattr(checkpoint, what):
            raise InputError(
                checkpoint.path,
                f"was trained on other {what.replace('_', ' ')} than {data.name} has",
                ("give its own data by", Argument("dataset")),
            )
    if "test" not in data.splits:
        raise InputError(data.name, "has no test images", "add some")
    return data.splits["test"]


def _ask(checkpoint: Checkpoint, test: ImageDataset) -> Answers:
    found = inference.log_probabilities(checkpoint.build(), test.images)
    return Answers(test.images[:, 0].numpy(), test.labels.numpy(), found.numpy())


def _odd(data: MNISTDataModule | None, checkpoint: Checkpoint) -> tuple[str, ...]:
    if data is None:
        return ()
    odd = list(data.dataset.odd)
    if datasets.has_changed(data.dataset, checkpoint):
        odd.append(changed(data.name, checkpoint))
    return tuple(odd)
