"""Random changes to training images: what each does, to which images, from which draws."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from mnist_lit.data.augmentation import Augmentation
from mnist_lit.data.datamodule import MNISTDataModule
from mnist_lit.data.sample import load


@pytest.fixture(scope="module")
def images() -> Tensor:
    return load()["val"][0][::100]


def drawn(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Let the four draws (angle, zoom, right, down) be these, of -1 to 1."""
    draws = torch.tensor(values).view(4, 1)
    monkeypatch.setattr(torch, "rand", lambda rows, n, device: (draws.expand(rows, n) + 1) / 2)


def test_no_change(images: Tensor) -> None:
    changed = Augmentation()(images)
    assert changed.dtype == torch.float32
    torch.testing.assert_close(changed, images.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("sign, turns", [(1, 1), (-1, -1)])
def test_rotation(images: Tensor, monkeypatch: pytest.MonkeyPatch, sign: float, turns: int) -> None:
    drawn(monkeypatch, sign, 0, 0, 0)
    turned = Augmentation(rotation=90)(images)
    expected = torch.rot90(images.float(), turns, (2, 3))
    torch.testing.assert_close(turned, expected, rtol=0, atol=0.01)


def test_shift(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 0, 0, 1, -0.5)
    moved = Augmentation(shift=2 / 28)(images)
    expected = torch.zeros(images.shape)
    expected[..., 1:, :-2] = images[..., :-1, 2:]  # 2 to the left, 1 down
    torch.testing.assert_close(moved, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("draw, zoom", [(1, 1.25), (-1, 0.75)])
def test_scale(images: Tensor, monkeypatch: pytest.MonkeyPatch, draw: float, zoom: float) -> None:
    drawn(monkeypatch, 0, draw, 0, 0)
    square = torch.zeros(1, 1, 28, 28)
    square[..., 10:18, 10:18] = 255
    scaled = Augmentation(scale=0.25)(square)
    assert scaled.sum() / square.sum() == pytest.approx(zoom**2, rel=0.02)
    assert scaled.max() <= 255.01


def test_each_image_has_its_own_change(images: Tensor) -> None:
    same = images[:1].expand(50, -1, -1, -1)
    torch.manual_seed(0)
    changed = Augmentation(rotation=12, shift=0.1, scale=0.15)(same)
    assert len({image.numpy().tobytes() for image in changed}) == 50
    torch.manual_seed(0)
    assert torch.equal(Augmentation(rotation=12, shift=0.1, scale=0.15)(same), changed)


def test_largest_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen = {}

    def affine_grid(matrices: Tensor, size: list[int], align_corners: bool) -> Tensor:
        seen["matrices"] = matrices
        return torch.zeros(size[0], 28, 28, 2)

    monkeypatch.setattr(torch.nn.functional, "affine_grid", affine_grid)
    Augmentation(rotation=12, shift=0.1, scale=0.15)(torch.zeros(10_000, 1, 28, 28))
    matrices = seen["matrices"]
    angles = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    zooms = 1 / (matrices[:, 0, 0] ** 2 + matrices[:, 1, 0] ** 2).sqrt()
    shifts = matrices[:, :, 2] / 2
    for values, low, high in ((angles, -12, 12), (zooms, 0.85, 1.15), (shifts, -0.1, 0.1)):
        width = high - low
        assert low <= values.min() < low + 0.01 * width
        assert high >= values.max() > high - 0.01 * width


def test_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 0, 0, 1, 0)
    square = torch.zeros(1, 1, 64, 64)
    square[..., 20:40, 20:40] = 255
    moved = Augmentation(shift=4 / 64)(square)
    torch.testing.assert_close(moved, square.roll(-4, 3), rtol=0, atol=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_only_training_images_change(images: Tensor, training: bool) -> None:
    data = MNISTDataModule(source="sample", rotation=12)
    data.trainer = SimpleNamespace(training=training)  # type: ignore[assignment]
    labels = torch.zeros(len(images))
    changed, same = data.on_after_batch_transfer((images, labels), 0)
    assert same is labels
    assert (changed is images) is not training


def test_unchanged_batches_cost_nothing(images: Tensor) -> None:
    data = MNISTDataModule(source="sample")
    data.trainer = SimpleNamespace(training=True)  # type: ignore[assignment]
    batch = (images, torch.zeros(len(images)))
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_elastic_distortion_moves_parts_against_each_other() -> None:
    torch.manual_seed(0)
    lines = torch.zeros(200, 1, 28, 28)
    lines[..., 14] = 255
    bent = Augmentation(elastic=0.03)(lines)[..., 4:-4, :]
    places = (bent * torch.arange(28.0)).sum(3) / bent.sum(3)  # of the line in each row
    # 0.03 of 28 pixels is 0.84 at the points that are moved; less between them.
    assert 0.5 < (places - 14).std() < 0.84
    assert (places.std(2) > 0.15).float().mean() > 0.9
    assert places.diff(dim=2).abs().max() < 1  # smooth


@pytest.mark.parametrize("amount, width", [(1, 5), (0, 3), (-1, 1)])
def test_thickness(amount: float, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = torch.zeros(2, 1, 28, 28)
    lines[..., 12:15] = 255
    own = torch.rand

    def rand(*size: int, device: torch.device) -> Tensor:
        if len(size) == 2:  # of the place
            return own(*size, device=device)
        return torch.full(size, (amount + 1) / 2)

    monkeypatch.setattr(torch, "rand", rand)
    changed = Augmentation(thickness=0.999)(lines)
    torch.testing.assert_close(
        changed.sum(3) / 255, torch.full((2, 1, 28), width * 1.0), rtol=0, atol=0.01
    )


def test_half_are_mirrored(images: Tensor) -> None:
    torch.manual_seed(0)
    changed = Augmentation(flip=True)(images[:1].expand(200, -1, -1, -1))
    mirrored = (changed - images[:1].flip(3)).abs().amax((1, 2, 3)) < 1e-2
    same = (changed - images[:1]).abs().amax((1, 2, 3)) < 1e-2
    assert torch.equal(mirrored, ~same) and 70 < mirrored.sum() < 130
