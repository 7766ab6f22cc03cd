"""The run's TensorBoard files as a logger in Lightning's sense, for callbacks that log by one."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from mnist_lit.runs.metrics import COLUMNS
from mnist_lit.training.recorder import Recorder


class RunLogger(Logger):
    """Writes what callbacks such as LearningRateMonitor log into the run's TensorBoard files.

    What the recorder draws itself, an epoch a point, is left out.

    Args:
        recorder: The run's.
        folder: Where callbacks write that look for a folder in the logger, as without one; the
            run's own folder holds what the project writes.
    """

    # Lightning joins them to the folder.
    name = version = ""

    def __init__(self, recorder: Recorder, folder: str) -> None:
        super().__init__()
        self._recorder = recorder
        self._folder = folder

    @property
    def save_dir(self) -> str:
        return self._folder

    @property
    def experiment(self) -> SummaryWriter | None:
        """The run's writer; None in all processes but the first, and before the training starts."""
        return self._recorder.writer

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass  # the recorder has written the configuration

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            if name not in COLUMNS and not name.startswith("test_") and self.experiment:
                self.experiment.add_scalar(name, value, step)
