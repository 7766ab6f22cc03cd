"""What `--data.dataset` can mean: a published data set, a folder of pictures, an array file."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_lit.data import sample
from mnist_lit.data.arrays import Arrays
from mnist_lit.data.folder import Folder
from mnist_lit.data.publications import PUBLICATIONS
from mnist_lit.data.published import Published
from mnist_lit.errors import InputError, printable

Source = Published | Folder | Arrays


def default_data_dir() -> str:
    return os.environ.get("MNIST_LIT_DATA_DIR") or "data"


def find(
    dataset: str = "mnist",
    data_dir: str | None = None,
    source: str = "auto",
    preprocessing: str | None = None,
    strict: bool = False,
    **others: Any,
) -> Source:
    """Return the data set of a name or path; the options are the data module's.

    Its others, which say what becomes of the images, do not matter here.

    Raises:
        InputError: There is no such data set.
    """
    data_dir = data_dir or default_data_dir()
    if dataset in PUBLICATIONS:
        found: Source = Published(dataset, data_dir, source)
        found.preprocessing = preprocessing or found.preprocessing
        return found
    path = _path(dataset, data_dir)
    if not dataset.isprintable():
        raise InputError(
            f"--data.dataset {printable(dataset)} is no name that a file can record: rename it"
        )
    if source == "sample":
        raise InputError(f"--data.source sample is one of mnist, not of {dataset}: leave it out")
    if path.is_dir():
        found = Folder(path, data_dir, preprocessing or "plain", strict=strict)
    elif path.is_file() and path.suffix == ".npz":
        found = Arrays(path, preprocessing or "plain")
    else:
        near = difflib.get_close_matches(dataset, PUBLICATIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(PUBLICATIONS)}"
        raise InputError(
            f"--data.dataset {dataset} is no folder of pictures and no .npz file that is there, "
            f"and no published data set: {hint}"
        )
    if found.name in (*PUBLICATIONS, sample.NAME):
        # Or its figures would be taken for those of another data set.
        found.name += "-folder" if isinstance(found, Folder) else "-npz"
    return found


def _path(dataset: str, data_dir: str) -> Path:
    """Return what a name or path means: a name may be of a folder that lies with the other data."""
    path = Path(dataset)
    beside = Path(data_dir, dataset)
    return beside if not path.exists() and beside.is_dir() else path


def recorded_options(
    checkpoint: Mapping[str, Any], explicit: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the data options that give a checkpoint's data set here and now.

    Args:
        checkpoint: Its content; of a run without one the configuration alone, as `config`.
        explicit: What the user asks for instead.
    """
    explicit, trained = explicit or {}, checkpoint.get("hyper_parameters", {})
    name = trained.get("dataset")
    options = dict(checkpoint.get("config", {}).get("data", {}))
    if not options and name in PUBLICATIONS:  # `fit` did not write it
        options = {"dataset": name}
    before = options.get("dataset", "mnist")
    wanted = explicit.get("dataset", before)
    data_dir = explicit.get("data_dir") or options.get("data_dir") or default_data_dir()
    if (
        "dataset" not in explicit
        and wanted not in PUBLICATIONS
        and not _path(wanted, data_dir).exists()
    ):
        raise InputError(
            f"{wanted}, which the network was trained on, is not there: say where it is now by "
            "--data.dataset"
        )
    if wanted != before:  # of another data set these would mean something else
        for other in ("source", "strict"):
            options.pop(other, None)
        # Pictures are prepared as the network knows them; published images are so already.
        known = trained.get("preprocessing") or options.get("preprocessing")
        options["preprocessing"] = None if wanted in PUBLICATIONS else known
    recorded_dir = options.get("data_dir", "")
    if wanted in PUBLICATIONS and not Published(wanted, recorded_dir).is_complete():
        options.pop("data_dir", None)  # moved, or another machine
    if wanted == "mnist" and name:
        options["source"] = "sample" if name == sample.NAME else "full"
    return options | dict(explicit)


def has_changed(found: Source, checkpoint: Mapping[str, Any]) -> bool:
    """Tell whether the user's own data are others than those that a checkpoint was trained on."""
    same_name = checkpoint["hyper_parameters"]["dataset"] == found.name
    return bool(same_name and checkpoint.get("fingerprint", found.fingerprint) != found.fingerprint)


def run_name(dataset: str) -> str:
    """Return what a run on a data set is called where the user names none."""
    path = Path(dataset).resolve()
    return dataset if dataset in PUBLICATIONS else path.name.removesuffix(".npz")
