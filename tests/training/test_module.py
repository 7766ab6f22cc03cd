"""The step, the sums over an epoch, the optimiser, and what is refused."""

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mnist_lit import environment
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.errors import Argument, InputError, RunError
from mnist_lit.evaluation import evaluate
from mnist_lit.network.architecture import Architecture
from mnist_lit.training.module import MNISTModule, load_checkpoint
from mnist_lit.training.resume import plan_resume

Loader = DataLoader[tuple[Tensor, ...]]


def trainer(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    environment.quiet()
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (5, 1, 28, 28), generator=generator, dtype=torch.uint8)


@pytest.fixture
def loader(images: Tensor) -> Loader:
    """Three batches, of 2, 2 and 1."""
    return DataLoader(TensorDataset(images, torch.tensor([3, 1, 4, 1, 5])), batch_size=2)


@pytest.fixture
def module() -> MNISTModule:
    """A module whose answers differ clearly from image to image, and that training leaves so."""
    torch.manual_seed(0)
    module = MNISTModule(dropout=0, lr=1e-30)
    with torch.no_grad():
        module.network.get_parameter("conv1.weight").mul_(10)
        module.network.get_parameter("dense2.weight").mul_(10)
    return module


def losses(module: MNISTModule, images: Tensor, labels: Tensor) -> Tensor:
    """Return each image's loss, by hand from what goes into the last layer, in float64."""
    logits: list[Tensor] = []
    layer = module.network.get_submodule("dense2")
    hook = layer.register_forward_hook(lambda layer, args, output: logits.append(output.detach()))
    module(images.float() / 255)
    hook.remove()
    exponentials = logits[0].double().exp()
    return -(exponentials[range(len(labels)), labels] / exponentials.sum(1)).log()


def test_loss_is_the_mean_negative_log_likelihood(module: MNISTModule, images: Tensor) -> None:
    labels = torch.tensor([3, 1, 4, 1, 5])
    module.on_train_epoch_start()
    loss = module.training_step((images, labels), 0)
    assert loss.requires_grad
    expected = float(losses(module, images, labels).mean())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_spreads_the_labels(module: MNISTModule, images: Tensor) -> None:
    module.hparams["smoothing"] = 0.25
    labels = torch.tensor([3, 1, 4, 1, 5])
    module.on_train_epoch_start()
    loss = module.training_step((images, labels), 0)
    every = torch.stack([losses(module, images, torch.full((5,), each)) for each in range(10)])
    label = every[labels, range(5)]
    assert loss.item() == pytest.approx(
        float((0.75 * label + 0.25 * every.mean(0)).mean()), rel=1e-5
    )
    assert module._losses("train").item() == pytest.approx(float(label.mean()), rel=1e-5)


def test_images_are_cropped_and_scaled_in_the_step(module: MNISTModule) -> None:
    seen: list[Tensor] = []
    module.network.register_forward_pre_hook(lambda network, args: seen.append(args[0]))
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).repeat(1, 1, 28, 28)
    before = images.clone()
    module.on_train_epoch_start()
    module.training_step((images, torch.zeros(3, dtype=torch.int64)), 0)
    expected = torch.tensor([0, 0.2, 1]).view(3, 1, 1, 1).expand(3, 1, 25, 25)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], expected)
    assert torch.equal(images, before)


def test_optimiser_is_adam_with_kerass_values() -> None:
    module = MNISTModule()
    optimiser = module.configure_optimizers()
    assert type(optimiser) is torch.optim.Adam
    (group,) = optimiser.param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (1e-3, (0.9, 0.999), 1e-7)
    assert group["weight_decay"] == 0 and not group["amsgrad"] and not group["maximize"]
    assert sum(parameter.numel() for parameter in group["params"]) == 103_786


def test_optimiser_takes_the_options() -> None:
    optimiser = MNISTModule(lr=0.5, betas=(0.1, 0.2), eps=0.25).configure_optimizers()
    (group,) = optimiser.param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.1, 0.2), 0.25)


def test_adam_steps_as_in_keras() -> None:
    module = MNISTModule()
    weight = module.network.get_parameter("dense2.weight")
    torch.nn.init.zeros_(weight)  # so that float32 holds the small steps exactly enough
    optimiser = module.configure_optimizers()
    generator = np.random.default_rng(0)
    value, m, v = (np.zeros(weight.shape) for _ in range(3))
    for step in range(1, 6):
        gradient = generator.choice([-1, 1], value.shape) * generator.uniform(0.1, 1, value.shape)
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
        # keras/src/optimizers/adam.py
        m += (gradient - m) * (1 - 0.9)
        v += (gradient**2 - v) * (1 - 0.999)
        alpha = 1e-3 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        value -= m * alpha / (np.sqrt(v) + 1e-7)
    # Keras adds eps before it corrects v, PyTorch after: 3e-5 of a step where gradients are 0.1.
    np.testing.assert_allclose(weight.detach().numpy(), value, rtol=0, atol=1e-3 * 1e-4)


def test_hyper_parameters_are_plain() -> None:
    module = MNISTModule(2, class_names=("a", "b"), betas=(0.8, 0.9))
    assert dict(module.hparams) == {
        "num_classes": 2,
        "class_names": ["a", "b"],
        "dataset": "mnist",
        "preprocessing": "mnist",
        "image_size": 28,
        "network": Architecture.of("notebook").plain(),
        "lr": 1e-3,
        "schedule": "constant",
        "warmup": 0.3,
        "betas": [0.8, 0.9],
        "eps": 1e-7,
        "smoothing": 0.0,
        "teacher": [],
        "large": False,
    }
    plain = {bool, int, float, str, list, dict}
    assert {type(value) for value in module.hparams.values()} <= plain
    # What a checkpoint holds is what the constructor takes.
    assert dict(MNISTModule(**module.hparams).hparams) == dict(module.hparams)


def test_classes_are_named_by_their_numbers() -> None:
    assert MNISTModule(3).hparams["class_names"] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", 0),
        ("lr", -1e-3),
        ("lr", math.nan),
        ("dropout", 1),
        ("dropout", -0.1),
        ("dropout", math.nan),
        ("betas", [1.0, 0.999]),
        ("betas", [0.9, 1.0]),
        ("betas", [-0.1, 0.9]),
        ("eps", -1e-7),
        ("eps", math.nan),
        ("warmup", 0),
        ("warmup", 1.0),
        ("smoothing", -0.1),
        ("smoothing", 1),
        ("preprocessing", "other"),
        ("num_classes", 1),
    ],
)
def test_value_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        MNISTModule(**{name: value})
    assert isinstance(caught.value.subject, Argument)
    assert caught.value.subject.name == name
    assert str(caught.value.subject.value) == str(value)
    assert "--" not in str(caught.value)  # a Python caller has given no option


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_sums_over_unequal_batches_are_exact(
    module: MNISTModule, images: Tensor, stage: str
) -> None:
    labels = module(images.float() / 255).argmax(1)
    labels[[0, 4]] = (labels[[0, 4]] + 1) % 10  # batches with 1 of 2, 2 of 2 and 0 of 1 right
    loader = DataLoader(TensorDataset(images, labels), batch_size=2)
    each = losses(module, images, labels)
    mean_of_means = (each[:2].mean() + each[2:4].mean() + each[4]) / 3
    assert abs(mean_of_means - each.mean()) > 0.1

    runner = trainer(max_epochs=2)
    if stage == "train":
        runner.fit(module, loader, [])
    elif stage == "val":
        runner.validate(module, loader, verbose=False)
    else:
        runner.test(module, loader, verbose=False)
    result = module.totals[stage]
    assert (result.correct, result.n, result.accuracy) == (3, 5, 3 / 5)
    assert result.loss == pytest.approx(float(each.mean()), rel=1e-5)
    if stage == "train":
        assert module.answers is None
    else:
        assert module.answers is not None
        assert evaluate(module.answers).loss == pytest.approx(result.loss, rel=1e-6)
        assert (module.answers.images == images[:, 0].numpy()).all()
        assert (module.answers.labels == labels.numpy()).all()
    logged = runner.callback_metrics
    # Lightning logs in float32.
    assert float(logged[f"{stage}_accuracy"]) == pytest.approx(3 / 5, abs=1e-7)
    assert float(logged[f"{stage}_loss"]) == pytest.approx(result.loss, rel=1e-6)


class Poison(pl.Callback):
    """Makes the weights nan before the second step of a stage, in training in the third epoch."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 2:
            self.poison(pl_module, batch_idx)

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.poison(pl_module, batch_idx)

    def on_test_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.poison(pl_module, batch_idx)

    def poison(self, module: pl.LightningModule, batch_idx: int) -> None:
        if batch_idx == 1:
            torch.nn.init.constant_(module.get_parameter("network.dense2.bias"), math.nan)


@pytest.mark.parametrize(
    "stage, epoch", [("train", "epoch 3"), ("val", "epoch 1"), ("test", "epoch 1")]
)
def test_loss_that_is_no_number(
    module: MNISTModule, loader: Loader, stage: str, epoch: str
) -> None:
    runner = trainer(Poison(), max_epochs=5)
    with pytest.raises(RunError, match=f"the {stage} loss is nan in {epoch} at step 2: lower lr"):
        if stage == "train":
            runner.fit(module, loader, [])
        elif stage == "val":
            runner.validate(module, loader, verbose=False)
        else:
            runner.test(module, loader, verbose=False)


def test_infinite_loss(module: MNISTModule, loader: Loader) -> None:
    with torch.no_grad():
        module.network.get_parameter("dense2.bias")[4] = -math.inf  # the label of the third image
    with pytest.raises(RunError, match="the test loss is inf in epoch 1 at step 2: lower"):
        trainer().test(module, loader, verbose=False)


def test_training_is_named_before_validation_meets_its_weights(
    module: MNISTModule, loader: Loader
) -> None:
    class InTraining(Poison):
        def on_validation_batch_start(self, *args: Any, **kwargs: Any) -> None:
            pass

    runner = trainer(InTraining(), max_epochs=5)
    with pytest.raises(RunError, match="the train loss is nan in epoch 3 at step 2: lower"):
        runner.fit(module, loader, loader)


def test_a_callback_knows_the_epochs_own_loss(module: MNISTModule, loader: Loader) -> None:
    class Watch(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(float(trainer.callback_metrics["train_loss"]))
            assert seen[-1] == pytest.approx(module.totals["train"].loss)

    seen: list[float] = []
    module.hparams["lr"] = 0.1  # each epoch has another
    trainer(Watch(), max_epochs=3).fit(module, loader, [])
    assert len(set(seen)) == 3


def test_images_scaled_already_are_refused(module: MNISTModule, images: Tensor) -> None:
    batch = images / 255, torch.tensor([3, 1, 4, 1, 5])
    module.on_train_epoch_start()
    with pytest.raises(InputError, match="the images are of 0 to 1: give bytes, of 0 to 255"):
        module.training_step(batch, 0)


def test_a_module_for_other_data_is_refused() -> None:
    data = MNISTDataModule(source="sample")
    with pytest.raises(InputError, match=r"classes 0, 1, not 0, 1, 2, .*\*\*data.linked"):
        trainer().test(MNISTModule(num_classes=2), data, verbose=False)
    with pytest.raises(InputError, match="has the image size 32, not 28 as the data"):
        trainer(max_epochs=1).fit(MNISTModule(image_size=32), data)


def test_predictions_are_the_answers_to_the_test_images(module: MNISTModule) -> None:
    data = MNISTDataModule(source="sample")
    runner = trainer()
    runner.test(module, data, verbose=False)
    predicted = runner.predict(module, data)
    assert predicted and module.answers
    found = torch.cat([part for part in predicted if isinstance(part, Tensor)])
    assert torch.equal(found, torch.from_numpy(module.answers.log_probabilities))


class Subclass(MNISTModule):
    def __init__(self, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        self.save_hyperparameters({"momentum": momentum})


def test_a_subclass_may_have_hyperparameters_of_its_own(loader: Loader) -> None:
    runner = trainer(max_epochs=1)
    runner.fit(Subclass(), loader, [])
    runner.save_checkpoint("own.ckpt")
    read = load_checkpoint("own.ckpt")
    assert type(read) is MNISTModule and "momentum" not in read.hparams
    with pytest.raises(InputError, match="trained by another module or another optimiser"):
        plan_resume({}, checkpoints.read("own.ckpt"), run=None)


def test_dropout_is_a_function_of_seed_epoch_and_process(
    module: MNISTModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(seed: int, epoch: int, rank: int) -> tuple[float, ...]:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        monkeypatch.setattr(MNISTModule, "current_epoch", epoch)
        monkeypatch.setattr(MNISTModule, "global_rank", rank)
        module.on_train_epoch_start()
        return tuple(torch.rand(4).tolist())

    # Seed 0 in epoch 1 must also differ from seed 1 in epoch 0, and so on.
    places = [(seed, epoch, rank) for seed in (0, 1) for epoch in (0, 1) for rank in (0, 1)]
    found = [draws(*place) for place in places]
    assert len(set(found)) == 8
    assert [draws(*place) for place in reversed(places)] == found[::-1]


def test_seed_is_0_where_none_is_set(module: MNISTModule, monkeypatch: pytest.MonkeyPatch) -> None:
    module.on_train_epoch_start()
    without = torch.rand(4)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    module.on_train_epoch_start()
    assert torch.equal(torch.rand(4), without)


def test_epoch_without_validation_has_no_stale_result(module: MNISTModule, loader: Loader) -> None:
    class Watch(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            validated.append("val" in module.totals)

    validated: list[bool] = []
    # The check before the training leaves a result too.
    runner = trainer(Watch(), max_epochs=4, check_val_every_n_epoch=2, num_sanity_val_steps=1)
    runner.fit(module, loader, loader)
    assert validated == [False, True, False, True]


def test_epochs_are_logged_from_1(module: MNISTModule, loader: Loader) -> None:
    runner = trainer(max_epochs=2)
    runner.fit(module, loader, [])
    assert float(runner.callback_metrics["epoch"]) == 2


def test_data_sets_name_is_taken_over(module: MNISTModule, loader: Loader) -> None:
    class Data(pl.LightningDataModule):
        name = "mnist-sample-5k"

        def train_dataloader(self) -> Loader:
            return loader

        def val_dataloader(self) -> list[Loader]:
            return []

    trainer(max_epochs=1).fit(module, datamodule=Data())
    assert module.hparams["dataset"] == "mnist-sample-5k"
