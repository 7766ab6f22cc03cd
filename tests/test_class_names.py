"""Which names of classes are valid."""

import pytest

from mnist_lit import class_names


@pytest.mark.parametrize("names", [["a", "b"], [str(i) for i in range(class_names.MAX_CLASSES)]])
def test_valid(names: list[str]) -> None:
    assert class_names.problem(names) == ""


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "0 classes"),
        (["a"], "1 class,"),
        ([str(i) for i in range(class_names.MAX_CLASSES + 1)], "10,001 classes"),
        (["a", 1], "not text"),
        (["a", "b", "a"], "two classes"),
    ],
)
def test_not_valid(names: list[object], words: str) -> None:
    assert words in class_names.problem(names)
