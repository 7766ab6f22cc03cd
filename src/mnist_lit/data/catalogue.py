"""The published data sets: what their files are called, how long they are, what they show.

The names, addresses and md5 checksums of archives are torchvision's. Numbers of images, classes and
preprocessing come from each set's own paper or page, which docs/datasets.md lists.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

DIGITS = [str(digit) for digit in range(10)]
CAPITALS = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
# A letter whose capital and small forms look alike is one class of the merged sets.
MERGED = [*DIGITS, *CAPITALS, *"abdefghnqrt"]
# The classes of EMNIST's splits, in the order of their labels.
EMNIST = {
    "balanced": MERGED,
    "bymerge": MERGED,
    "byclass": [*DIGITS, *CAPITALS, *map(str.lower, CAPITALS)],
    "digits": DIGITS,
    "letters": CAPITALS,
    "mnist": DIGITS,
}


class Publication(NamedTuple):
    """A published data set.

    Args:
        torchvision: Its class in torchvision, which is also its folder's name.
        files: Images and labels of the training and of the test set, with the number of each.
        class_names: A name for each class.
        preprocessing: How its images were made from pictures.
        sha256: The files' checksums, where they are known beforehand.
        transposed: Whether the files hold an image's rows as columns.
        first_label: The smallest label in the files.
    """

    torchvision: str
    files: Mapping[str, int]
    class_names: list[str]
    preprocessing: str
    sha256: Mapping[str, str] = {}
    transposed: bool = False
    first_label: int = 0

    def header(self, name: str, n: int) -> bytes:
        """Return how a file of n images or labels begins: in IDX, with its type and shape."""
        if "images" in name:
            return struct.pack(">4I", 0x803, n, 28, 28)
        if name.endswith("idx2-int"):
            return struct.pack(">3I", 0xC02, n, 8)
        return struct.pack(">2I", 0x801, n)

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return len(self.header(name, 0)) + _item(name) * self.files[name]

    def held(self, name: str, size: int) -> int:
        """Return how many images or labels a file of `size` bytes can hold."""
        return max(size - len(self.header(name, 0)), 0) // _item(name)


def _item(name: str) -> int:
    """Return how many bytes an image or label takes."""
    return 784 if "images" in name else 32 if name.endswith("idx2-int") else 1


def _files(n_train: int, n_test: int, names: str, labels: str = "idx1-ubyte") -> dict[str, int]:
    train, test = names.split()
    return {
        f"{part}-{kind}": n
        for part, n in ((train, n_train), (test, n_test))
        for kind in ("images-idx3-ubyte", f"labels-{labels}")
    }


def _emnist(split: str, n_train: int, n_test: int) -> Publication:
    return Publication(
        "EMNIST",
        _files(n_train, n_test, f"emnist-{split}-train emnist-{split}-test"),
        EMNIST[split],
        "emnist",
        transposed=True,
        first_label=1 if split == "letters" else 0,
    )


CATALOGUE = {
    "mnist": Publication(
        "MNIST",
        _files(60_000, 10_000, "train t10k"),
        DIGITS,
        "mnist",
        {
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
    ),
    "fashion": Publication(
        "FashionMNIST",
        _files(60_000, 10_000, "train t10k"),
        [
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ],
        "plain",
        {
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
    ),
    "kmnist": Publication(
        "KMNIST", _files(60_000, 10_000, "train t10k"), list("おきすつなはまやれを"), "plain"
    ),
    "qmnist": Publication(
        "QMNIST",
        _files(60_000, 60_000, "qmnist-train qmnist-test", "idx2-int"),
        DIGITS,
        "mnist",
    ),
    "emnist-balanced": _emnist("balanced", 112_800, 18_800),
    "emnist-letters": _emnist("letters", 124_800, 20_800),
    "emnist-digits": _emnist("digits", 240_000, 40_000),
}
