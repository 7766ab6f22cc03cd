"""What the tests of the page to draw on share: writing, opening and asking it."""

import base64
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.formats import page as html
from mnist_lit.network.network import Network

FILE = Path("mnist.html")
Opened = Callable[..., Page]


def write(
    network: Network,
    *,
    class_names: list[str] | None = None,
    preprocessing: str = "mnist",
    dataset: str = "mnist",
) -> None:
    """Write the page of a network, by default one of digits."""
    names = class_names or [str(n) for n in range(network.num_classes)]
    path, size = Path("last.ckpt"), network.image_size
    checkpoint = Checkpoint(
        path, {}, network.architecture, names, dataset, preprocessing, size, epoch=0
    )
    html.write(FILE, checkpoint, network)


def pretrained() -> Network:
    return checkpoints.read("pretrained").build()


def answers(page: Page, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the page's probabilities for images N×S×S."""
    found = page.evaluate(
        """([text, size]) => {
            const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
            return Array.from({length: bytes.length / size}, (_, i) =>
                run(network, bytes.subarray(size * i, size * (i + 1))).probabilities);
        }""",
        [base64.b64encode(images.tobytes()).decode(), images[0].size],
    )
    return np.array(found)


def until(page: Page, condition: str) -> None:
    """Wait for a condition; the page's policy forbids Playwright's own way, which is eval."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(condition)


def show(page: Page, name: str) -> None:
    """Give the page a picture file and wait for its answer."""
    page.evaluate("photo = null")
    page.set_input_files("#file", name)
    until(page, "photo !== null")
