"""Learning from other networks' answers."""

from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from mnist_lit import MNISTModule, load_checkpoint
from mnist_lit.errors import InputError
from mnist_lit.network.inference import log_probabilities
from mnist_lit.training.teaching import SHARE, TEMPERATURE, Teachers, taught_loss

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture
def save(tmp_path: Path) -> Callable[[MNISTModule], str]:
    def save(module: MNISTModule) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.ckpt"
        trainer = pl.Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
        )
        trainer.strategy.connect(module)
        trainer.save_checkpoint(path)
        return str(path)

    return save


def softened(log_probabilities: np.ndarray) -> np.ndarray:
    exponentials = np.exp(log_probabilities.astype(np.float64) / TEMPERATURE)
    shares: np.ndarray = exponentials / exponentials.sum(1, keepdims=True)
    return shares


def test_teachers_answer_as_their_mean_does(save: Callable[[MNISTModule], str]) -> None:
    modules = [MNISTModule(network=name).eval() for name in ("notebook", "small")]
    teachers = Teachers([save(module) for module in modules], DIGITS, 28)
    images = torch.randint(256, (7, 1, 28, 28)).float()  # as augmentation leaves them
    before = images.clone()
    expected = [log_probabilities(module.network, images.clone()).numpy() for module in modules]
    answer = teachers.answer(images)
    assert torch.equal(images, before)
    np.testing.assert_allclose(answer, np.mean([*map(softened, expected)], 0), rtol=0, atol=1e-6)


def test_loss_is_of_the_labels_and_the_teachers() -> None:
    own = torch.log_softmax(torch.randn(5, 10), 1).requires_grad_()
    taught = torch.softmax(torch.randn(5, 10), 1)
    loss = taught_loss(torch.tensor(0.7), own, taught)
    assert loss.requires_grad
    entropy = -(taught.numpy() * np.log(softened(own.detach().numpy()))).sum(1).mean()
    expected = (1 - SHARE) * 0.7 + SHARE * TEMPERATURE**2 * entropy
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_nothing_is_left_to_learn_where_the_answers_agree() -> None:
    own = torch.log_softmax(torch.randn(5, 10), 1).requires_grad_()
    taught = torch.from_numpy(softened(own.detach().numpy())).float()
    taught_loss(torch.tensor(0.0), own, taught).backward()
    assert own.grad is not None
    torch.testing.assert_close(own.grad, torch.zeros(5, 10), rtol=0, atol=1e-6)


def test_step_is_taught_and_records_the_labels_loss() -> None:
    torch.manual_seed(0)
    module = MNISTModule(teacher="pretrained", dropout=0)
    module.find_teachers()
    images, labels = torch.randint(256, (6, 1, 28, 28)), torch.tensor([3, 1, 4, 1, 5, 9])
    own = log_probabilities(module.network, images)
    plain = torch.nn.functional.nll_loss(own, labels)
    module.on_train_epoch_start()
    loss = module.training_step((images, labels), 0)
    teachers = Teachers(["pretrained"], DIGITS, 28)
    expected = taught_loss(plain, own, teachers.answer(images))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert module._losses("train").item() == pytest.approx(plain.item(), rel=1e-5)
    assert {name.split(".")[0] for name in module.state_dict()} == {"network"}


def test_checkpoint_needs_no_teacher(save: Callable[[MNISTModule], str]) -> None:
    path = save(MNISTModule(teacher=["gone.ckpt", "pretrained"]))
    assert load_checkpoint(path).hparams["teacher"] == ["gone.ckpt", "pretrained"]


def test_teacher_of_another_kind(save: Callable[[MNISTModule], str]) -> None:
    letters = save(MNISTModule(class_names=["a", "b", "c"], num_classes=3))
    with pytest.raises(InputError, match=r"knows 3 classes .a, b, c.*of 28×28.*has 10 classes"):
        Teachers(["pretrained", letters], DIGITS, 28)
    with pytest.raises(InputError, match=r"10 classes .* of 28×28 pixels, and .* of 32×32 pixels"):
        Teachers(["pretrained"], DIGITS, 32)
    with pytest.raises(InputError, match=r"nope\.ckpt is not there"):
        MNISTModule(teacher="nope.ckpt").find_teachers()
