"""The usual Lightning tutorial: ToTensor per image, a metric and two log calls per step."""

import warnings

import lightning.pytorch as pl
import torch
import torchmetrics
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

import pytorch_example
import worker
from lightning_race import Race


class Tutorial(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = pytorch_example.network()
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
        self.test_accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        output = self.network(images)
        loss = functional.nll_loss(output, labels)
        self.accuracy(output, labels)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_accuracy", self.accuracy, prog_bar=True)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.test_accuracy(self.network(images), labels)
        self.log("test_accuracy", self.test_accuracy)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7)


def main() -> None:
    warnings.simplefilter("ignore")
    train = DataLoader(pytorch_example.dataset(train=True), batch_size=32, shuffle=True)
    test = DataLoader(pytorch_example.dataset(train=False), batch_size=1000)
    trainer = pl.Trainer(max_epochs=worker.EPOCHS, callbacks=[Race()])
    trainer.fit(module := Tutorial(), train)
    (result,) = trainer.test(module, test, verbose=False)
    worker.tell(result["test_accuracy"])


if __name__ == "__main__":
    main()
