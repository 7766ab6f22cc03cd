"""`doctor`: what this installation consists of, what is missing, and how to fix it."""

import importlib.metadata
import platform
from typing import TYPE_CHECKING

from mnist_lit.errors import listed, printable

if TYPE_CHECKING:
    from mnist_lit.data.datamodule import MNISTDataModule
    from mnist_lit.data.published import Published


def command(args: list[str]) -> int:
    """Print what is found; return 1 where something is missing, else 0."""
    try:
        # A missing package must not keep `doctor` from saying so.
        import lightning.pytorch as pl
        import torch

        from mnist_lit import environment
        from mnist_lit.cli.parser import Parser
    except ImportError as error:
        return _end([*_packages(), f"{error}: python -m pip install --force-reinstall mnist-lit"])
    environment.quiet()
    environment.prepare()
    parser = Parser.of("doctor")
    parser.add_data()
    data = parser.instantiate(parser.parse_args(args)).data
    fixes = _packages()
    device = pl.Trainer(logger=False, enable_checkpointing=False).strategy.root_device
    print(f"device     {device}, {torch.get_num_threads()} threads")
    return _end([*fixes, *_data(data)])


def _end(fixes: list[str]) -> int:
    lines = [printable(f"to fix     {fix}") for fix in fixes]
    print("\n".join(lines) or "nothing is missing")
    return 1 if fixes else 0


def _packages() -> list[str]:
    """Print the packages that this one needs; return a command for each that is missing or old."""
    from packaging.requirements import Requirement

    print(f"python     {platform.python_version()} on {platform.platform()}")
    print(f"mnist-lit  {importlib.metadata.version('mnist-lit')}")
    fixes = []
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
            fixes.append(f'{requirement.name} {version}: python -m pip install "{requirement}"')
    return fixes


def _data(data: "MNISTDataModule") -> list[str]:
    """Print what the data set consists of; return what is wrong with it and how to fix that."""
    from mnist_lit.data import sample
    from mnist_lit.data.published import Published

    found = data.dataset
    if found.name == sample.NAME:
        print("data       the embedded sample")
        return []
    return _published(found) if isinstance(found, Published) else _own(data)


def _published(found: "Published") -> list[str]:
    print(printable(f"data       {found.raw}"))
    problems = found.problems()
    for name in found.publication.files:
        where = "" if found.place(name).parent == found.raw else f", in {found.place(name)}"
        right = f"right, {found.checksum(name)}{where}"
        print(printable(f"  {name:<26}{problems.get(name, right)}"))
    if not problems:
        return []
    is_mnist = found.name == "mnist"
    which = "--data.source full" if is_mnist else f"--data.dataset {found.name}"
    instead = ", or --data.source sample" if is_mnist else ""
    return [
        f"{found.publication.torchvision}: python -m mnist_lit fit {which} "
        f"--data.data_dir {found.data_dir} downloads it; or put the files there{instead}"
    ]


def _own(data: "MNISTDataModule") -> list[str]:
    """Print how many images of each class the user's own data set has, in each split."""
    data.prepare_data()
    data.setup("fit")
    found, names, side = data.dataset, data.class_names, data.image_size
    print(printable(f"data       {found.name}: {len(names)} classes, {side}×{side} pixels"))
    for part, split in data.splits.items():
        counts = split.labels.bincount(minlength=len(names)).tolist()
        of_each = [f"{n:,} of {name}" for name, n in zip(names, counts, strict=True)]
        print(printable(f"  {part:<8}{len(split):>8,} images: {listed(of_each, 50)}"))
    return [f"{found.path / name} {why}" for name, why in found.unreadable.items()]
