"""What a run records at the end of an epoch: its row, its curves, what a checkpoint says of it."""

import logging
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.network.network import Network, shape_text
from mnist_lit.runs import finding, metrics
from mnist_lit.runs import run as runs
from mnist_lit.training import resume
from mnist_lit.training.module import MNISTModule

log = logging.getLogger("mnist_lit")


class Recorder(Checkpoint):
    """Makes the run's folder and keeps its configuration, `metrics.csv` and TensorBoard curves.

    Lightning calls `Checkpoint` callbacks after the module has added up the epoch; this one must
    come before those that save, so that a checkpoint holds its own epoch's row.

    Args:
        root: Folder of all runs.
        name: The run's name.
        config: The whole configuration, of plain values; each checkpoint carries it. By default
            what the data module and the module were made with.
        run: A run to resume; by default a new one is made once the data is ready.
        resumed: The checkpoint that the run starts from, if any.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        run: runs.Run | None = None,
        resumed: Path | None = None,
    ) -> None:
        self._root = root
        self._name = name
        self._config = dict(config or {})
        self._given = run
        self._resumed = resumed
        self.rows: list[dict[str, Any]] = []
        self.n_trained = 0  # images that the last epoch trained on
        self._writers: dict[str, SummaryWriter] = {}
        self._validation_seconds = 0.0  # within the epoch so far

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        made = {"data": getattr(data, "arguments", {}), "model": resume.own(pl_module.hparams)}
        self._config = made | self._config
        if trainer.is_global_zero:
            self.run = self._given or runs.create(self._root, self._name)
            self.run.summary.unlink(missing_ok=True)  # it summarised fewer epochs
            self.run.write_config(self._config)
            self.run.probe()  # now, not at the end of the first epoch
        run = trainer.strategy.broadcast(self.run if trainer.is_global_zero else None)
        assert run is not None
        self.run = run

    @property
    def writer(self) -> SummaryWriter | None:
        """What writes the run's TensorBoard files, while it is trained and in this process."""
        return self._writers.get("")

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self._config
        checkpoint["threads"] = torch.get_num_threads()
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, MNISTDataModule):
            checkpoint["fingerprint"] = data.dataset.fingerprint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics.write(self.run, self.rows)
        if self._resumed and not self._given:
            finding.copy_best(self._resumed, len(self.rows), self.run)
        for part in ("", "train", "val"):
            # Epochs past the checkpoint are trained again, so their points from before must go.
            self._writers[part] = SummaryWriter(
                str(self.run.folder / part), purge_step=len(self.rows) + 1 if self._given else None
            )
        if not self._given:
            for row in self.rows:
                self._draw(row)
        values = {
            f"{part}.{key}": value if isinstance(value, int | float) else str(value)
            for part in ("data", "model")
            for key, value in self._config[part].items()
        }
        names = dict.fromkeys(("test_loss", "test_accuracy"), 0)
        # SummaryWriter.add_hparams would put them into a sub-run of its own.
        for summary in hparams_summaries(values, names):
            self._writers[""]._get_file_writer().add_summary(summary)
        assert isinstance(pl_module, MNISTModule)
        self._writers[""].add_text("network", _layer_table(pl_module.network))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]
        self._validation_seconds = 0.0
        self._started = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_started = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_seconds += time.perf_counter() - self._validation_started

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MNISTModule)
        if is_dropped(trainer):
            whole = trainer.current_epoch
            log.info(
                f"stopped within epoch {whole + 1} (max_steps or max_time): epoch {whole} is kept"
            )
            return
        seconds = time.perf_counter() - self._started - self._validation_seconds
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        for stage in ("train", "val"):
            result = pl_module.totals.get(stage)
            row[f"{stage}_loss"] = result.loss if result else None
            row[f"{stage}_accuracy"] = result.accuracy if result else None
        self.n_trained = pl_module.totals["train"].n
        row |= {"lr": self._lr, "seconds": round(seconds, 3)}
        self.rows.append(row)
        if trainer.is_global_zero:
            metrics.write(self.run, self.rows)
            self._draw(row)
        if trainer.progress_bar_callback:
            trainer.progress_bar_callback.print(_line(row, trainer.max_epochs))

    def _draw(self, row: Mapping[str, Any]) -> None:
        # One tag in two sub-runs: TensorBoard draws training and validation into one chart.
        for part in ("train", "val"):
            for quantity in ("loss", "accuracy"):
                if (value := row[f"{part}_{quantity}"]) is not None:
                    self._writers[part].add_scalar(quantity, value, row["epoch"])
        self._writers[""].add_scalar("lr", row["lr"], row["epoch"])
        for writer in self._writers.values():
            writer.flush()

    def show(self, pictures: Mapping[str, bytes]) -> None:
        """Put PNG files into TensorBoard, as they are: drawn once."""
        if root := self._writers.get(""):
            for name, content in pictures.items():
                width, height = struct.unpack(">II", content[16:24])  # of its header
                image = Summary.Image(
                    encoded_image_string=content, width=width, height=height, colorspace=4
                )
                summary = Summary(value=[Summary.Value(tag=name, image=image)])
                root._get_file_writer().add_summary(summary, len(self.rows))

    def close(self, test: Mapping[str, float]) -> None:
        """Put the test metrics beside the hyper-parameters and close the event files."""
        if root := self._writers.get(""):
            for name, value in test.items():
                root.add_scalar(name, value, len(self.rows))
        for writer in self._writers.values():
            writer.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.close({})
        # Where no epoch was trained there is nothing to keep, unless the user stopped it.
        made = hasattr(self, "run") and not self._given
        if trainer.is_global_zero and made and isinstance(exception, Exception) and not self.rows:
            self.run.remove()


def _layer_table(network: Network) -> str:
    """Return the network's layers as a table in Markdown, which TensorBoard shows."""
    rows = [("layer", "kind", "output", "parameters"), ("---", "---", "---", "---:")]
    rows += [
        (layer.name, layer.kind, shape_text(layer.shape), f"{layer.parameters:,}")
        for layer in network.layers
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _line(row: Mapping[str, Any], epochs: int | None) -> str:
    width = len(str(epochs))
    values = "  ".join(
        f"{name} {row[name]:.4f}"
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
        if row[name] is not None
    )
    return f"epoch {row['epoch']:>{width}}/{epochs}  {values}  {row['seconds']:.1f} s"


def is_dropped(trainer: pl.Trainer) -> bool:
    """Return whether the epoch leaves no records, because `max_steps` or `max_time` cut it short.

    Only from whole epochs does a resumed run reach the same result. A first epoch is kept all the
    same, so that there is something to test; resuming from it is refused.
    """
    cut_short = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    return cut_short and trainer.current_epoch > 0
