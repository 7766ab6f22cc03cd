"""Versions come from constraints.txt alone, known-bad ones are excluded, readers are safe."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from helpers import REPOSITORY

CONTENT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PROJECT = CONTENT["project"]
GROUPS = [
    PROJECT["dependencies"],
    *PROJECT["optional-dependencies"].values(),
    *CONTENT["dependency-groups"].values(),
]
DECLARED = [Requirement(line) for group in GROUPS for line in group]
LOCKED = {
    requirement.name: next(iter(requirement.specifier)).version
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}
# pyproject.toml says what is wrong with each.
BAD = {"lightning": ["2.6.2", "2.6.3", "2.6.5"], "torch": ["2.9.1", "2.13.0"], "pillow": ["10.4"]}


def test_every_dependency_is_locked() -> None:
    for requirement in DECLARED:
        version = LOCKED[requirement.name.lower()]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize(("name", "version"), [(n, v) for n, vs in BAD.items() for v in vs])
def test_known_bad_release_cannot_be_resolved(name: str, version: str) -> None:
    (requirement,) = (r for r in DECLARED if r.name == name)
    assert not requirement.specifier.contains(version)
    assert Version(LOCKED[name]) != Version(version)


def test_make_and_ci_install_by_the_lock_file() -> None:
    for path in ("Makefile", ".ci/run", ".github/workflows/test.yml"):
        for line in (REPOSITORY / path).read_text().splitlines():
            if "pip install" in line or "pip3 install" in line:
                assert "--constraint constraints.txt" in line, f"{path}: {line}"


UNSAFE = [
    r"weights_only\s*=\s*False",
    r"pickle\.loads?\(",
    r"yaml\.(load|unsafe_load|full_load)\(",
    r"load_model\(",
    r"\beval\(\s*[^)\s]",
    r"\bexec\(",
    r"allow_pickle\s*=\s*True",
    r"extractall\(",
    r"shell\s*=\s*True",
]


def test_no_unsafe_reader() -> None:
    files = [
        p for top in ("src", "scripts", "benchmarks") for p in (REPOSITORY / top).rglob("*.py")
    ]
    assert len(files) > 30
    for path in files:
        text = path.read_text("utf-8")
        code = re.sub(r'""".*?"""|#.*', "", text, flags=re.S | re.M)
        for pattern in UNSAFE:
            found = re.search(pattern, code)
            assert not found, f"{path}: {found}"
