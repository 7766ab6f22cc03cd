"""Paddings and outputs of convolutions and pools, in Keras and in torch."""

Pair = tuple[int, int]
Border = tuple[int, int]  # before and after


def same(size: int, kernel: int, stride: int, dilation: int = 1) -> Border:
    """Return TensorFlow's `same` padding of one axis; where it is odd, more goes after.

    Source: tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def outputs(size: int, kernel: int, stride: int, dilation: int, border: Border) -> int:
    """Return how many outputs an axis has, below 1 where the kernel doesn't fit."""
    return (size + sum(border) - (kernel - 1) * dilation - 1) // stride + 1


def pool_outputs(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Return how many outputs an axis of torch's pools has."""
    room = size + 2 * padding - kernel
    if not ceil_mode:
        return room // stride + 1
    found = -(-room // stride) + 1
    # The last window must start inside the input or the padding before it.
    return found - 1 if (found - 1) * stride >= size + padding else found


def one_or_both(pair: Pair) -> int | Pair:
    """Return a size as torch takes it: one number where both are the same."""
    return pair[0] if pair[0] == pair[1] else pair
