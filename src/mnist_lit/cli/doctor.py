"""`doctor`: what this installation consists of, what is missing, and the command that mends it."""

import importlib.metadata
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_lit.data.arrays import Arrays
    from mnist_lit.data.datamodule import MNISTDataModule
    from mnist_lit.data.folder import Folder


def doctor(args: list[str]) -> int:
    """Print the findings; return 1 where something is missing, else 0."""
    try:
        import lightning.pytorch as pl
        import torch

        from mnist_lit.cli.parser import Parser
        from mnist_lit.data.datamodule import MNISTDataModule
        from mnist_lit.environment import prepare, quiet
    except ImportError as error:
        return _end([*_packages(), f"{error}: python -m pip install --force-reinstall mnist-lit"])
    quiet()
    prepare()
    parser = Parser(prog="python -m mnist_lit doctor", description="")
    parser.add_lightning_class_args(MNISTDataModule, "data")
    data = parser.instantiate(parser.parse_args(args)).data
    mends = _packages()
    device = pl.Trainer(logger=False, enable_checkpointing=False).strategy.root_device
    print(f"device     {device}, {torch.get_num_threads()} threads")
    return _end([*mends, *_data(data)])


def _end(mends: list[str]) -> int:
    print("\n".join(f"to mend    {mend}" for mend in mends) or "nothing is missing")
    return 1 if mends else 0


def _packages() -> list[str]:
    """Print the packages that this one needs; return a command for each that is missing or old."""
    from packaging.requirements import Requirement

    print(f"python     {platform.python_version()} on {platform.platform()}")
    print(f"mnist-lit  {importlib.metadata.version('mnist-lit')}")
    mends = []
    for line in importlib.metadata.requires("mnist-lit") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = "is missing"
        fits = version != "is missing" and requirement.specifier.contains(version, prereleases=True)
        print(f"  {requirement.name:<26}{version}")
        if not fits:
            mends.append(f'{requirement.name} {version}: python -m pip install "{requirement}"')
    return mends


def _data(data: "MNISTDataModule") -> list[str]:
    """Print the data set's files; return a command where one is missing or wrong."""
    from mnist_lit.data import sample
    from mnist_lit.data.published import Published

    found = data.dataset
    if not isinstance(found, Published):
        return _own_data(data, found)
    if found.name == sample.NAME:
        print("data       the embedded sample")
        return []
    print(f"data       {found.raw}")
    problems = found.problems()
    for name in found.publication.files:
        print(f"  {name:<26}{problems.get(name, f'right, {found.checksum(name)}')}")
    if not problems:
        return []
    options = "--data.source full" if found.name == "mnist" else f"--data.dataset {found.name}"
    command = f"python -m mnist_lit fit {options} --data.data_dir {found.data_dir}"
    instead = ", or --data.source sample" if found.name == "mnist" else ""
    what = found.publication.torchvision
    return [f"{what}: {command} downloads it; or put the files there{instead}"]


def _own_data(data: "MNISTDataModule", found: "Folder | Arrays") -> list[str]:
    """Print what the user's own data set holds; return what is odd about it."""
    from mnist_lit.data.folder import Folder
    from mnist_lit.data.splits import listed
    from mnist_lit.errors import printable

    data.prepare_data()
    data.setup("fit")
    names = data.class_names
    print(f"data       {found.path}: {len(names)} classes")
    for part, split in data.splits.items():
        counts = split.labels.bincount(minlength=len(names)).tolist()
        of_each = [f"{n:,} of {name}" for name, n in zip(names, counts, strict=True)]
        print(printable(f"  {part:<8}{len(split):>8,} images: {listed(of_each, 50)}"))
    if not isinstance(found, Folder):
        return []
    return [f"{found.path / name} {why}" for name, why in found.unreadable.items()]
