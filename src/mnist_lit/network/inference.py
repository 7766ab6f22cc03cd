"""Scaling images, and a network's answers to them."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lit.network.network import Network

BATCH = 500
# An answer's doubt is what its probability lacks of 1.
UNSURE = 0.6  # an answer with a lower probability is noted
LEAST_DOUBT = 1e-6  # that float32 tells from none
SURER = 200  # a picture lies on its side if turning it divides the doubt by more than this


def to_input(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return images N×1×H×W of 0 to 255 as a network takes them: in [0, 1], channels-last.

    Augmented images, which are float32 already, may be scaled in place.
    """
    return images.to(dtype, memory_format=torch.channels_last).div_(255)


def log_probabilities(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return what a network answers to uint8 images N×1×H×W: N×classes."""
    with torch.inference_mode():
        return torch.cat([network(to_input(part)) for part in images.split(BATCH)])


def probabilities(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the probabilities N×classes for uint8 images N×1×H×W."""
    return log_probabilities(network, images).exp()


def feature_maps(network: Network, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return each convolution's maps C×H×W for one image H×W, by the convolution's name.

    They are the values after all that follows the convolution (activation, batch norm, pool),
    up to the next convolution or its padding, a global pool or Flatten.
    """
    ends = nn.Conv2d | nn.ZeroPad2d | nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d | nn.Flatten
    values = to_input(torch.from_numpy(image)[None, None])
    maps: dict[str, NDArray[np.float32]] = {}
    convolution = None
    with torch.inference_mode():
        for name, layer in network.named_children():
            if isinstance(layer, ends):
                convolution = None
            values = layer(values)
            if isinstance(layer, nn.Conv2d):
                convolution = name
            if convolution:
                maps[convolution] = values[0].numpy()
    return maps
