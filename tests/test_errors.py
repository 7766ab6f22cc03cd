"""What errors are written with."""

from mnist_lit import errors


def test_lists_are_cut_off() -> None:
    assert errors.listed(["a", "b"]) == "a, b"
    assert errors.listed(list("abcd"), 2) == "a, b and 2 more"
