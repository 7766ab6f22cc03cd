"""Learning from other networks' answers: distillation (G. Hinton, O. Vinyals, J. Dean, 2015,
arXiv:1503.02531)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import Argument, InputError
from mnist_lit.files import sha256
from mnist_lit.network.inference import to_input

# Chosen on validation images (docs/experiments.md): a higher temperature shows more of what a
# teacher takes the wrong classes for; the rest of the loss is the label's.
TEMPERATURE = 4.0
SHARE = 0.9


class Teachers:
    """Trained networks whose mean answer is taught.

    Args:
        paths: Their checkpoints.
        class_names: The classes of the network that learns.
        image_size: Side of its images in pixels.

    Attributes:
        checkpoints: What was read.
        checksums: The files' SHA-256, which a run keeps.

    Raises:
        InputError: A file isn't a checkpoint, or is of other classes or images.
    """

    def __init__(self, paths: Sequence[str], class_names: list[str], image_size: int) -> None:
        self.checkpoints = [checkpoints.read(path) for path in paths]
        for path, teacher in zip(paths, self.checkpoints, strict=True):
            if (teacher.class_names, teacher.image_size) != (class_names, image_size):
                raise InputError(
                    Argument("teacher", path),
                    f"knows {_kind(teacher.class_names, teacher.image_size)}, and the data has "
                    f"{_kind(class_names, image_size)}",
                    "give a checkpoint that was trained on the same classes and image size",
                )
        self._networks = [teacher.build() for teacher in self.checkpoints]
        self.checksums = [sha256(teacher.path) for teacher in self.checkpoints]

    def to(self, device: torch.device, dtype: Any) -> None:
        for network in self._networks:
            network.to(device, dtype)

    def answer(self, images: Tensor) -> Tensor:
        """Return the softened probabilities N×num_classes for images N×1×S×S of 0 to 255."""
        dtype = next(self._networks[0].parameters()).dtype
        with torch.no_grad():
            scaled = to_input(images.clone(), dtype)  # a copy: it may scale in place
            answers = [softened(network(scaled)).exp() for network in self._networks]
            return torch.stack(answers).mean(0)

    def refuse_changes(self, checksums: list[str] | None) -> None:
        """Raise InputError where these aren't the files that a run began to learn from."""
        if checksums != self.checksums:
            raise InputError(
                Argument("teacher", [str(teacher.path) for teacher in self.checkpoints]),
                "isn't what the run began to learn from",
                "put the same files back, or start a new run",
            )


def _kind(class_names: list[str], image_size: int) -> str:
    names = ", ".join(class_names[:3])
    return f"{len(class_names)} classes ({names}, …) of {image_size}×{image_size} pixels"


def softened(log_probabilities: Tensor) -> Tensor:
    return functional.log_softmax(log_probabilities / TEMPERATURE, 1)


def taught_loss(loss: Tensor, log_probabilities: Tensor, taught: Tensor) -> Tensor:
    """Return the loss to learn from: a share of the labels' and, else, the teachers'.

    Args:
        loss: That of the labels.
        log_probabilities: What the network answers, N×num_classes.
        taught: What the teachers answer, softened.
    """
    difference = -(taught * softened(log_probabilities)).sum(1).mean()
    # Softening makes the gradients smaller by the temperature's square.
    return (1 - SHARE) * loss + SHARE * TEMPERATURE**2 * difference
