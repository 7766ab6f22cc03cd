"""Random changes to training images, a whole batch at once on its own device."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_affine(images: Tensor, *, rotation: float, shift: float, scale: float) -> Tensor:
    """Turn, move and scale each image by its own random amounts, with bilinear interpolation.

    The amounts come from PyTorch's global generator, which the module seeds at each epoch's start.

    Args:
        images: N×1×H×W, any dtype; 0 is the background and fills what comes in from outside.
        rotation: Largest angle in degrees, either way.
        shift: Largest shift as a share of the side, in either direction of each axis.
        scale: Largest relative growth or shrinkage.

    Returns:
        float32 images N×1×H×W in the range of the given ones.
    """
    draws = torch.rand(4, len(images), device=images.device) * 2 - 1
    angle, zoom = math.radians(rotation) * draws[0], 1 + scale * draws[1]
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    # From a place in the result to one in the image; a side is 2 long.
    rows = [cosine, -sine, 2 * shift * draws[2], sine, cosine, 2 * shift * draws[3]]
    matrices = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, align_corners=False)
