"""Files written whole or not at all, and YAML that is safe to read."""

import errno
import os
from pathlib import Path

import pytest

from mnist_lit.errors import InputError
from mnist_lit.files import atomic_write, check_yaml, read_yaml


def names(folder: str = ".") -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def test_writes() -> None:
    with atomic_write(Path("file")) as file:
        file.write(b"new")
    assert Path("file").read_bytes() == b"new"
    assert names() == ["file"]


def test_replaces() -> None:
    Path("file").write_bytes(b"the old content")
    with atomic_write(Path("file")) as file:
        file.write(b"new")
    assert Path("file").read_bytes() == b"new"
    assert names() == ["file"]


def test_makes_parent_folders() -> None:
    with atomic_write(Path("a/b/file")) as file:
        file.write(b"new")
    assert Path("a/b/file").read_bytes() == b"new"


@pytest.mark.parametrize("old", [None, b"old"])
def test_nothing_is_seen_before_the_end(monkeypatch: pytest.MonkeyPatch, old: bytes | None) -> None:
    path = Path("file")
    if old is not None:
        path.write_bytes(old)

    def seen() -> bytes | None:
        return path.read_bytes() if path.exists() else None

    during: list[bytes | None] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: during.append(seen()))
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        during.append(seen())
    assert during == [old, old]
    assert seen() == b"new"


def test_is_on_disk_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    with atomic_write(Path("file")) as file:
        file.write(b"new")
    assert sizes == [3]


def test_temporary_file_lies_in_the_targets_folder() -> None:
    with atomic_write(Path("a/file")):
        (temporary,) = names("a")
    assert temporary.startswith(".")
    assert names("a") == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [[], ["file"]], ids=["new", "old"])
def test_exception_leaves_all_as_it_was(error: type[BaseException], old: list[str]) -> None:
    for name in old:
        Path(name).write_bytes(b"old")
    with pytest.raises(error), atomic_write(Path("file")) as file:
        file.write(b"half of the n")
        raise error
    assert {name: Path(name).read_bytes() for name in names()} == dict.fromkeys(old, b"old")


def test_full_disk_is_told_with_the_files_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    Path("file").write_bytes(b"old")
    with pytest.raises(OSError) as caught, atomic_write(Path("file")) as file:
        file.write(b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "file")
    assert Path("file").read_bytes() == b"old"
    assert names() == ["file"]


def test_yaml_is_plain_values() -> None:
    Path("my.yaml").write_text("a: [1, x, {b: null}]\n")
    assert read_yaml("my.yaml") == {"a": [1, "x", {"b": None}]}
    assert check_yaml("my.yaml") == "a: [1, x, {b: null}]\n"


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"a: " + b"[" * 60 + b"]" * 60, "nested too deep or uses aliases"),
        (b"[" * 100_000, "nested too deep or uses aliases"),
        (LAUGHS.encode(), "nested too deep or uses aliases"),
        (b"&a [*a]", "nested too deep or uses aliases"),
        (b"#" * 1_000_001, "is larger than 1 MB"),
        (b"a: [", "is not YAML"),
        (b"- a\n- b\n c\n- d\n  - e: [\n", "is not YAML (line 5: "),
        (b"\xff\xfe", "is not YAML"),
        (b"\0", "is not YAML"),
        (b"!!python/object/apply:os.system [exit]", "is not YAML"),
        # What PyYAML reads raises more than its own errors.
        (b"!!int x", "is not YAML"),
        (b"!!bool x", "is not YAML"),
        (b"2001-99-99", "is not YAML"),
        (b"9" * 5000, "is not YAML"),
        (b"{[1]: 2}", "is not YAML"),
    ],
)
def test_yaml_that_is_refused(content: bytes, problem: str) -> None:
    Path("my.yaml").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_yaml("my.yaml")
    assert error.value.subject == Path("my.yaml")
    assert problem in str(error.value.problem)


def test_yaml_that_is_not_a_file() -> None:
    Path("folder").mkdir()
    for name, problem in (("none.yaml", "is not there"), ("folder", "cannot be read")):
        with pytest.raises(InputError) as error:
            read_yaml(name)
        assert error.value.problem == problem
