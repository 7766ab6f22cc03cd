"""Random changes to training images, a whole batch at once on its own device."""

import math
from dataclasses import astuple, dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Elastic distortion moves this many points along each side at random; those between follow.
POINTS = 5


@dataclass(frozen=True)
class Augmentation:
    """What may be changed in a training image, each time by other random amounts.

    The amounts come from PyTorch's global generator, which the module seeds at each epoch's start.

    Args:
        rotation: Largest angle in degrees, either way.
        shift: Largest shift as a share of the side, in either direction of each axis.
        scale: Largest relative growth or shrinkage.
        elastic: Standard deviation of the shifts by which the parts of an image move against each
            other, as a share of the side.
        thickness: By how much strokes grow or shrink at most, 1 being a pixel on each side.
        flip: Whether half of the images are mirrored, left to right.
    """

    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0
    thickness: float = 0.0
    flip: bool = False

    def __bool__(self) -> bool:
        return any(astuple(self))

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 images N×1×H×W in the range of the given ones.

        Args:
            images: N×1×H×W, any dtype; 0 is the background and fills what comes in from outside.
        """
        changed = functional.grid_sample(images.float(), self._grid(images), align_corners=False)
        return self._thickened(changed) if self.thickness else changed

    def _grid(self, images: Tensor) -> Tensor:
        """Return the place in its image of each pixel of the result, N×H×W×2; a side is 2 long."""
        draws = torch.rand(4, len(images), device=images.device) * 2 - 1
        angle, zoom = math.radians(self.rotation) * draws[0], 1 + self.scale * draws[1]
        cosine, sine = angle.cos() / zoom, angle.sin() / zoom
        mirror = torch.ones_like(zoom)
        if self.flip:
            mirror = torch.where(torch.rand_like(zoom) < 0.5, -1.0, 1.0)
        right, down = 2 * self.shift * draws[2:]
        rows = [cosine * mirror, -sine, right, sine * mirror, cosine, down]
        matrices = torch.stack(rows, dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
        if self.elastic:
            points = torch.randn(len(images), 2, POINTS, POINTS, device=images.device)
            shifts = functional.interpolate(
                points, images.shape[-2:], mode="bicubic", align_corners=True
            )
            grid = grid + 2 * self.elastic * shifts.permute(0, 2, 3, 1)
        return grid

    def _thickened(self, images: Tensor) -> Tensor:
        amount = self.thickness * (torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1)
        thicker = functional.max_pool2d(images, 3, 1, 1)
        thinner = -functional.max_pool2d(-images, 3, 1, 1)
        return images + amount.relu() * (thicker - images) + (-amount).relu() * (thinner - images)
