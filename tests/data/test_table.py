"""Tables with an image in each row."""

import gzip
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_data
from helpers import SHORT, Command, parts
from mnist_lit.data import table, text
from mnist_lit.data.file import Options
from mnist_lit.data.table import Table
from mnist_lit.errors import Argument, InputError

TRAIN, TEST = small_data.digits(40, 3), small_data.digits(20, 3, skip=40)
MINE = Path("mine.csv")


def rows(part: small_data.Part = TRAIN) -> list[list[Any]]:
    """Return a row for each image: its label and its pixels."""
    images, labels = part
    pixels = images.reshape(len(images), -1).tolist()
    return [[label, *row] for label, row in zip(labels.tolist(), pixels, strict=True)]


HEADER = ["label", *(f"pixel{i}" for i in range(784))]


def write(
    lines: Sequence[Sequence[Any]], path: Path = MINE, separator: str = ",", end: str = "\n"
) -> None:
    path.write_text("".join(separator.join(map(str, line)) + end for line in lines), newline="")


def everything(path: Path = MINE, **options: Any) -> set[tuple[bytes, int]]:
    """Return all images with their labels."""
    splits = Table(path, options=Options(**options)).load(0)
    return set.union(*(small_data.rows(split) for split in splits.values()))


def refused(path: Path = MINE) -> InputError:
    with pytest.raises(InputError) as caught:
        Table(path)
    assert caught.value.problem and caught.value.remedy
    return caught.value


WRITTEN = small_data.written(TRAIN)


@pytest.mark.parametrize(
    "lines",
    [
        rows(),
        [HEADER, *rows()],
        [[*HEADER[1:], "class"], *([*row, label] for label, *row in rows())],
        [[*row, label] for label, *row in rows()],
        [["", *HEADER], *([i, *row] for i, row in enumerate(rows()))],
        [["id", "Target", *HEADER[1:]], *([i, *row] for i, row in enumerate(rows()))],
        [[i, *row] for i, row in enumerate(rows(), 1)],
        [["digit", *HEADER[1:]], *rows()],
        [list(range(785)), *rows()],
        [["y", *range(784)], *rows()],
        [[f'"{cell}"' for cell in row] for row in [HEADER, *rows()]],
        [[label, *(x / 255 for x in row)] for label, *row in rows()],
        [[float(label), *map(float, row)] for label, *row in rows()],
        [[label + 1, *row] for label, *row in rows()],
    ],
    ids=[
        "MNIST's", "Kaggle's", "class last", "label last", "row numbers", "id", "bare row numbers",
        "another name", "numbers above", "y", "quotes", "0 to 1", "floats", "from 1",
    ],
)  # fmt: skip
def test_other_ways_to_write_the_same(lines: list[list[Any]]) -> None:
    write(lines)
    assert everything() == WRITTEN


@pytest.mark.parametrize("separator, end", [(";", "\n"), ("\t", "\n"), (",", "\r\n")])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_separators_and_ends_of_lines(separator: str, end: str, start: str) -> None:
    write([HEADER, *rows()], separator=separator, end=end)
    MINE.write_text(start + MINE.read_bytes().decode(), encoding="utf-8", newline="")
    assert everything() == WRITTEN


def test_letters_as_labels() -> None:
    write([["αβγ"[label], *row] for label, *row in rows()])
    assert everything() == WRITTEN
    assert Table(MINE).class_names == list("αβγ")


def test_compressed() -> None:
    write([HEADER, *rows()])
    path = Path("mine.csv.gz")
    path.write_bytes(gzip.compress(MINE.read_bytes()))
    found = Table(path)
    assert found.name == "mine" and everything(path) == WRITTEN
    path.write_bytes(path.read_bytes()[:-300])
    Path(".cache/mnist-lit/pictures").rename("gone")
    assert "cannot be read to its end" in str(refused(path).problem)


@pytest.mark.parametrize("side", [8, 32])
def test_any_square(side: int) -> None:
    images = np.resize(TRAIN[0], (40, side, side))
    write(rows((images, TRAIN[1])))
    found = Table(MINE)
    assert found.image_size == side and everything() == small_data.written((images, TRAIN[1]))
    scaled = Table(MINE, image_size=16)
    assert scaled.load(0)["train"][0].shape[1:] == (1, 16, 16)


def test_no_test_part() -> None:
    write(rows())
    splits = Table(MINE).load(0.25)
    assert {part: len(labels) for part, (_, labels) in splits.items()} == {
        "train": 24, "val": 7, "test": 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    "train, test",
    [
        ("mnist_train.csv", "mnist_test.csv"),
        ("mine.csv", "mine_test.csv"),
        ("train.csv", "test.csv"),
        ("mine.csv", "test.csv"),
        ("Training set.csv", "test set.csv"),
        ("emnist-digits-train.csv.gz", "emnist-digits-test.csv"),
    ],
)
def test_a_table_beside_it_is_the_test_part(train: str, test: str) -> None:
    write([HEADER, *rows()], Path(train))
    if train.endswith("gz"):
        Path(train).write_bytes(gzip.compress(Path(train).read_bytes()))
    write([HEADER, *rows(TEST)], Path(test))
    before = Table(Path(train), options=Options(transposed=False))
    splits = before.load(0.25)
    assert np.array_equal(splits["train"][0][:, 0], TRAIN[0][:30])  # the last ones validate
    assert np.array_equal(splits["val"][0][:, 0], TRAIN[0][30:])
    assert np.array_equal(splits["test"][0][:, 0], TEST[0])
    write([HEADER, *rows(TEST)][:-1], Path(test))
    after = Table(Path(train), options=Options(transposed=False))
    assert len(after.load(0)["test"][1]) == 19 and after.fingerprint != before.fingerprint


def test_a_table_without_labels_is_for_predict(caplog: pytest.LogCaptureFixture) -> None:
    write([HEADER, *rows()], Path("train.csv"))
    write([HEADER[1:], *(row[1:] for row in rows(TEST))], Path("test.csv"))
    caplog.set_level("INFO")
    found = Table(Path("train.csv"))
    said = "test.csv has no labels, so it is for `python -m mnist_lit predict`"
    assert said in caplog.messages and found.load(0)["test"][1].shape == (9,)
    write([HEADER[1:]], Path("test.csv"))
    Path("test.csv").write_text(Path("test.csv").read_text() + "0," * 783 + "0\n")
    assert Table(Path("train.csv")).fingerprint == found.fingerprint  # it isn't part of it
    error = refused(Path("test.csv"))
    assert "has no column of labels (it begins with pixel0,pixel1" in str(error.problem)


def test_emnists_own_tables_are_turned_upright(caplog: pytest.LogCaptureFixture) -> None:
    turned = TRAIN[0].swapaxes(1, 2), TRAIN[1]
    path = Path("emnist-letters-train.csv")
    write(rows(turned), path)
    caplog.set_level("INFO")
    assert everything(path) == WRITTEN
    assert any("turned upright" in message for message in caplog.messages)
    assert everything(path, transposed=False) == small_data.written(turned)
    write(rows(turned))
    assert everything() == small_data.written(turned)  # never guessed
    assert everything(transposed=True) == WRITTEN


def test_emnists_own_tables_name_their_classes() -> None:
    letters = [[1 + i % 26, *row[1:]] for i, row in enumerate(rows())]
    write(letters, Path("emnist-letters-train.csv"))
    found = Table(Path("emnist-letters-train.csv"))
    assert found.class_names == [chr(ord("A") + i) for i in range(26)]
    assert found.labels.tolist()[:3] == [0, 1, 2]
    write(letters[:20], Path("emnist-letters-train.csv"))  # not all of them
    assert Table(Path("emnist-letters-train.csv")).class_names[:2] == ["1", "2"]
    write(letters)
    assert Table(MINE).class_names[:2] == ["1", "2"]


def test_other_scales() -> None:
    write([[label, *(x / 127.5 - 1 for x in row)] for label, *row in rows()])
    assert Argument("value_range", "[-1, 1]") in parts(refused().remedy)
    assert everything(value_range=[-1, 1]) == WRITTEN


def test_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write(rows())
    first = everything()
    read: list[Path] = []
    original = table.read

    def remembered(path: Path, options: Options) -> table.Rows:
        read.append(path)
        return original(path, options)

    monkeypatch.setattr(table, "read", remembered)
    assert everything() == first and not read
    write([HEADER, *rows()[:30]])
    assert len(everything()) == 30 and read == [MINE]
    assert len(everything(transposed=True)) == 30 and read == [MINE, MINE]


def changed(row: int, place: int, cell: Any) -> list[list[Any]]:
    lines = rows()
    lines[row][place] = cell
    return lines


@pytest.mark.parametrize(
    "lines, problem",
    [
        (changed(6, 12, ""), "has no value in row 7, column 13"),
        (changed(6, 784, ""), "has no value in row 7, column 785"),
        ([HEADER, *changed(6, 12, "")], "has no value in row 7, column 13 (pixel11)"),
        ([HEADER, *changed(6, 0, "")], "has no value in row 7, column 1 (label)"),
        (changed(6, 12, "seven"), "has 'seven' where a number belongs, in row 7, column 13"),
        (changed(6, 12, "nan"), "has 'nan' where a number belongs, in row 7, column 13"),
        (changed(6, 12, "inf"), "has pixels from 0 to inf"),
        (changed(6, 12, 256), "has pixels from 0 to 256"),
        (changed(6, 12, -1), "has pixels from -1 to 255"),
        (changed(6, 12, 10**30), "has pixels from 0 to 1e+30"),
        ([HEADER, *rows()[:9], HEADER, *rows()[9:]], "repeats its header in row 10, column 2"),
        ([*rows()[:9], rows()[9][:-3], *rows()[10:]], "has no value in row 10, column 785"),
        ([*rows()[:9], [*rows()[9], 1], *rows()[10:]], "is not a whole table (Expected 785 fields"),
        ([HEADER, *([*row, 1] for row in rows())], "has 786 values in its first row"),
        ([row[:-1] for row in rows()], "has no column of labels"),
        ([row[:-2] for row in rows()], "has 783 columns, of which 783 could be pixels (it begins"),
        ([[*HEADER, "class"], *([*r, 1] for r in rows())], "has the columns label and class"),
        ([[row[0], *row] for row in rows()], "has 786 columns"),
        ([[1, *row[1:]] for row in rows()], "has 1 class, not 2 or more: all labels are 1"),
        ([[7, *row[1:]] for row in rows()], "has 1 class, not 2 or more: all labels are 7"),
        ([["a", *row[1:]] for row in rows()], "has 1 class, not 2"),
        ([[row[0] - 1, *row[1:]] for row in rows()], "has labels in mine.csv, from -1"),
        ([[40_000 * row[0], *row[1:]] for row in rows()], "labels in mine.csv, from 0 to 80000"),
        ([[row[0] / 2, *row[1:]] for row in rows()], "in mine.csv, not all of them whole"),
        ([], "is empty"),
        ([HEADER], "holds no rows"),
        ([["a", "table"], [1, 2]], "has 2 columns"),
    ],
)  # fmt: skip
def test_wrong_tables(lines: list[list[Any]], problem: str) -> None:
    write(lines)
    error = refused()
    assert error.subject == MINE
    assert problem in str(error.problem)


def test_labels_that_could_be_first_or_last() -> None:
    write([[label, *row[:-1], label] for label, *row in rows()])
    assert "could be the first column or the last" in str(refused().problem)


def test_a_letter_in_the_first_row_is_a_label() -> None:
    """And not the name of a column, which would lose the row."""
    write([["yzx"[label], *row] for label, *row in rows()])
    assert len(everything()) == 40 and Table(MINE).class_names == ["x", "y", "z"]


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"\xff\xfe" + "1,2\n".encode("utf-16-le"), "is not text in UTF-8"),
        (b"\0\1\2\3" * 100, "is not text in UTF-8"),
        (b"\x1f\x8bxxxx", "cannot be read to its end"),
        (b'1,2,"3\n4,5,6\n', "has a quote without its like in line 1"),
    ],
)
def test_no_text(content: bytes, problem: str) -> None:
    MINE.write_bytes(content)
    error = refused()
    assert error.subject == MINE and problem in str(error.problem)


def test_a_zip_is_not_a_table() -> None:
    write(rows())
    with zipfile.ZipFile("mine.zip", "w") as archive:
        archive.write(MINE)
    Path("mine.zip").rename(MINE)
    assert refused().problem == "is a zip archive"


def test_a_quote_that_is_never_closed() -> None:
    write(changed(30, 5, '"0'))
    assert refused().problem == "has a quote without its like in line 31"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_line_without_end(monkeypatch: pytest.MonkeyPatch, compressed: bool) -> None:
    monkeypatch.setattr(text, "MAX_LINE", 300_000)
    taken = 0
    original = text.Text.readinto

    def counted(self: text.Text, buffer: Any) -> int:
        nonlocal taken
        taken += (n := original(self, buffer))
        return n

    monkeypatch.setattr(text.Text, "readinto", counted)
    lines = "".join(",".join(map(str, row)) + "\n" for row in rows())
    content = (lines + "0," * 5_000_000).encode()
    MINE.write_bytes(gzip.compress(content) if compressed else content)
    assert str(refused().problem).startswith("has a line of more than")
    assert taken < 2_000_000


def test_names_of_two_kinds() -> None:
    write([HEADER, *rows()], Path("train.csv"))
    write([HEADER, *([f"digit {r[0]}", *r[1:]] for r in rows(TEST))], Path("test.csv"))
    assert "names its classes in two ways" in str(refused(Path("train.csv")).problem)


def test_a_run(command: Command) -> None:
    write([HEADER, *rows()], Path("train.csv"))
    Path("train_test.csv").write_text("not a table")
    answer = command("fit", "--data.dataset", "train.csv", *SHORT[2:], "--trainer.max_epochs", 1)
    assert answer.code == 2 and "error: train_test.csv has 1 columns" in answer.err
    Path("train_test.csv").unlink()
    answer = command("fit", "--data.dataset", "train.csv", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "")
    assert Path("runs/train/version_0/report.html").is_file()
    assert "dataset     train" in command("test").out
    answer = command("doctor", "--data.dataset", "train.csv")
    assert answer.code == 0 and "28×28 pixels" in answer.out
    assert command("samples", "--data.dataset", "train.csv", "--output", "s.png").code == 0
    write([HEADER, *rows()[:30]], Path("train.csv"))
    assert "train has changed since" in command("test").err


@pytest.mark.slow
def test_a_million_rows_of_one_class() -> None:
    row = "3," + ",".join(["7"] * 64) + "\n"
    with MINE.open("w") as file:
        for _ in range(100):
            file.write(row * 10_000)
    assert "all labels are 3" in str(refused().problem)


@pytest.mark.slow
def test_a_line_of_two_gigabytes() -> None:
    with MINE.open("wb") as file:
        file.write(b"0," * 1000)
        file.truncate(2_000_000_000)  # zero bytes that take no room on disk
    start = time.monotonic()
    assert str(refused().problem).startswith("has a line of more than 4 MB")
    assert time.monotonic() - start < 5
