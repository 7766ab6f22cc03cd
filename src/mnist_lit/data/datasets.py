"""Finding a data set: published, in a folder of pictures, an array file or a table."""

import difflib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_lit.data import arrays, sample, table
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.file import Options, name_of
from mnist_lit.data.folder import Folder
from mnist_lit.data.own import Own
from mnist_lit.data.published import Published
from mnist_lit.data.splits import Splits
from mnist_lit.errors import Argument, InputError, printable
from mnist_lit.files import TABLE_SUFFIXES, is_table
from mnist_lit.pictures.constants import LARGEST_SIDE, PUBLISHED_SIDE, SMALLEST_SIDE

if TYPE_CHECKING:
    from mnist_lit.checkpoints.checkpoint import Checkpoint


class DataSet(Protocol):
    """Images with labels, wherever they come from.

    Attributes:
        name: What records call it. Known for certain once it is prepared, since the sample may
            stand in for MNIST.
        class_names: A name for each class.
        preprocessing: How a picture becomes such an image, one of `pictures.PREPROCESSING`.
        image_size: Side of the images in pixels.
        fingerprint: What changes when the user's own data do; empty for published data.
        odd: What was odd about it when it was prepared, a line each.
        path: Where it is, or belongs.
        unreadable: What is wrong with each image that cannot be read, by what the user knows it by.
    """

    name: str
    class_names: list[str]
    preprocessing: str
    image_size: int
    fingerprint: str
    odd: list[str]
    path: Path

    @property
    def unreadable(self) -> Mapping[str, str]: ...

    def prepare(self) -> None:
        """See that the data are there and right; warn of what is odd. Later calls do nothing."""

    def load(self, val_split: float) -> Splits:
        """Return the splits; a share `val_split` of the training images validates."""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _meant(dataset: str) -> str:
    """Return the name of the published data set that is meant, unless there is such a file."""
    return dataset if Path(dataset).exists() else PUBLISHED_AS.get(_letters(dataset), dataset)


# Their names without regard to case and hyphens, and torchvision's name of Fashion-MNIST.
PUBLISHED_AS = {_letters(name): name for name in CATALOGUE} | {"fashionmnist": "fashion"}


UNKNOWN = "unknown"  # of a network that was imported, and whose file doesn't say


def default_data_dir() -> str:
    """Return the folder for data where none is named: $MNIST_LIT_DATA_DIR, else `data`."""
    return os.environ.get("MNIST_LIT_DATA_DIR") or "data"


def find(
    dataset: str = "mnist",
    data_dir: str | None = None,
    *,
    source: str = "auto",
    preprocessing: str | None = None,
    strict: bool = False,
    image_size: int | None = None,
    value_range: Sequence[float] | None = None,
    transposed: bool | None = None,
    **others: Any,
) -> DataSet:
    """Return the data set of a name or path; the arguments are those of `MNISTDataModule`.

    Its other arguments, which say what happens to the images later, are ignored.

    Raises:
        InputError: There is no such data set, or an argument doesn't suit it.
    """
    _check_image_size(image_size)
    _check_value_range(value_range)
    dataset = _meant(dataset)
    if source == "sample" and dataset != "mnist":
        raise InputError(
            Argument("source", source), f"is a sample of mnist, not of {dataset}", "leave it out"
        )
    data_dir = data_dir or default_data_dir()
    if dataset in CATALOGUE:
        _refuse(dataset, "whose images are taken as published", image_size=image_size,
                value_range=value_range, transposed=transposed)  # fmt: skip
        return Published(dataset, data_dir, source, preprocessing)
    path = _own_path(dataset, data_dir)
    preprocessing = preprocessing or "plain"
    if path.is_dir():
        _refuse(dataset, "a folder of pictures", value_range=value_range, transposed=transposed)
        side = PUBLISHED_SIDE if image_size is None else image_size
        found: Own = Folder(path, preprocessing, strict=strict, image_size=side)
    else:
        kind = arrays.Arrays if path.suffix.casefold() == ".npz" else table.Table
        options = Options(value_range, transposed)
        found = kind(path, preprocessing, image_size=image_size, options=options)
    if found.name in (*CATALOGUE, sample.NAME):
        # Otherwise its metrics would be taken for those of another data set.
        found.name += found.suffix
    return found


def unlabelled(
    path: Path, value_range: Sequence[float] | None = None, transposed: bool | None = None
) -> NDArray[np.uint8]:
    """Return the images in an array file or table, N×H×W; labels, if there are any, are left out.

    Raises:
        InputError: It isn't there, is damaged or holds anything else.
    """
    if not path.is_file():
        raise InputError(path, "is not there", "give the path of an array file or table")
    _check_value_range(value_range)
    options = Options(value_range, transposed)
    if path.suffix.casefold() == ".npz":
        return arrays.unlabelled(path, options)
    return table.read(path, options).images


def _refuse(dataset: str, what: str, **arguments: Any) -> None:
    """Refuse arguments that say nothing of a data set."""
    for name, value in arguments.items():
        if value is not None:
            raise InputError(
                Argument(name, value), f"cannot be given with {dataset}, {what}", "leave it out"
            )


def _check_image_size(image_size: int | None) -> None:
    if image_size is None:
        return
    if type(image_size) is not int or not SMALLEST_SIDE <= image_size <= LARGEST_SIDE:
        raise InputError(
            Argument("image_size", image_size),
            "is out of range",
            f"give a whole number from {SMALLEST_SIDE} to {LARGEST_SIDE}",
        )


def _check_value_range(value_range: Sequence[float] | None) -> None:
    if value_range is None:
        return
    if len(value_range) != 2 or not -math.inf < value_range[0] < value_range[1] < math.inf:
        raise InputError(
            Argument("value_range", list(value_range)),
            "is no range",
            "give the values of black and white, the lower one first: [LOW, HIGH]",
        )


def _own_path(dataset: str, data_dir: str) -> Path:
    """Return the path of the user's own data set: a folder, array file or table."""
    if not dataset.isprintable():
        raise InputError(
            Argument("dataset", printable(dataset)),
            "has characters that records cannot hold",
            "rename it",
        )
    path = _path(dataset, data_dir)
    if path.is_dir() or (path.is_file() and is_table(path)):
        return path
    near = [name for name in CATALOGUE if _letters(name).startswith(_letters(dataset) or "-")]
    near = near or difflib.get_close_matches(dataset, CATALOGUE, n=1)
    raise InputError(
        Argument("dataset", dataset),
        f"is not a folder of pictures, a {', '.join(TABLE_SUFFIXES)} file or a published data set"
        if path.exists()
        else "is neither there nor a published data set",
        f"did you mean {' or '.join(near)}?"
        if near
        else f"the published ones are {', '.join(CATALOGUE)}",
    )


def _path(dataset: str, data_dir: str) -> Path:
    """Return the path that is meant; a name may be that of a folder beside the other data."""
    path = Path(dataset)
    beside = Path(data_dir, dataset)
    return beside if not path.exists() and beside.is_dir() else path


def options_of(
    checkpoint: "Checkpoint", explicit: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments that give a checkpoint's data set here and now.

    Pictures are prepared as the network knows them, at its own image size.

    Args:
        checkpoint: The checkpoint.
        explicit: The arguments that the user gives instead.

    Raises:
        InputError: The data set isn't there any more.
    """
    recorded = dict(checkpoint.config.get("data", {}))
    if not recorded and checkpoint.dataset not in (sample.NAME, UNKNOWN):  # `fit` didn't write it
        recorded = {"dataset": checkpoint.dataset}
    options = _here(recorded, explicit or {}, checkpoint.preprocessing)
    if options["dataset"] not in CATALOGUE:
        options["image_size"] = checkpoint.image_size
    if options["dataset"] == "mnist":
        options["source"] = "sample" if checkpoint.dataset == sample.NAME else "full"
    return options | dict(explicit or {})


def options_of_config(
    config: Mapping[str, Any], explicit: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments that give the data set of a run without a checkpoint here and now.

    Args:
        config: The run's.
        explicit: The arguments that the user gives instead.

    Raises:
        InputError: The data set isn't there any more.
    """
    recorded = dict(config.get("data", {}))
    options = _here(recorded, explicit or {}, recorded.get("preprocessing"))
    return options | dict(explicit or {})


def _here(
    recorded: Mapping[str, Any], explicit: Mapping[str, Any], preprocessing: str | None
) -> dict[str, Any]:
    """Return recorded arguments without those that mean nothing here or for other data."""
    options = {"dataset": "mnist", **recorded}
    before = options["dataset"]
    wanted = options["dataset"] = explicit.get("dataset", before)
    data_dir = explicit.get("data_dir") or options.get("data_dir") or default_data_dir()
    published = wanted in CATALOGUE
    if "dataset" not in explicit and not published and not _path(wanted, data_dir).exists():
        raise InputError(
            wanted,
            "is not there, and the network was trained on it",
            ("name the place where it is now by", Argument("dataset")),
        )
    if wanted != before:
        for name in ("source", "strict", "value_range", "transposed"):
            options.pop(name, None)
    if not published:
        options["preprocessing"] = preprocessing
    elif wanted != before:
        options["preprocessing"] = None
    if published:
        options["image_size"] = None
        if not Published(wanted, options.get("data_dir") or "").is_complete():
            options.pop("data_dir", None)  # moved, or another machine
    return options


def has_changed(found: DataSet, checkpoint: "Checkpoint") -> bool:
    """Tell whether the user's own data have changed since a checkpoint was trained on them."""
    recorded = checkpoint.fingerprint
    same_name = checkpoint.dataset == found.name
    return same_name and recorded is not None and recorded != found.fingerprint


def run_name(dataset: str) -> str:
    """Return the name of a run on a data set where the user gives none."""
    dataset = _meant(dataset)
    return dataset if dataset in CATALOGUE else name_of(Path(dataset).resolve())
