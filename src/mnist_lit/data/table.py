"""A table, `.csv` or `.csv.gz`, with an image in each row.

pandas is imported only where a table is read, since it takes half a second.
"""

import logging
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mnist_lit.data.cache import Arrays, Cache
from mnist_lit.data.catalogue import EMNIST
from mnist_lit.data.file import File, Options, Part, name_of
from mnist_lit.data.text import Text, head
from mnist_lit.data.values import Grey, Wrong, are_whole, as_numbers, square
from mnist_lit.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd

MAX_PIXELS = 8_000_000_000  # of all rows
CELLS = 2_000_000  # that are read at once
HEAD = 5  # rows by which the columns are recognised

LABELS = ("label", "labels", "class", "y", "target")
ROW_NUMBERS = ("", "unnamed: 0", "index", "id", "imageid", "image_id", "row", "row_id")
# EMNIST's own tables, whose images lie on their sides and whose labels are numbers.
EMNISTS = re.compile(rf"emnist-({'|'.join(EMNIST)})-(train|test)")
NEAREST = "give a label and the pixels of a square image in each row, 785 columns for 28×28"

log = logging.getLogger("mnist_lit")


class Table(File):
    """A table with a row for each image: its label and its pixels, row by row.

    The label is the first or the last column, or the one with such a name. A table beside it that
    is named for the test (`tables_beside`) holds the test images, if it has labels. Numbers are
    taken as those of array files. What was read is kept, so that later runs start at once.
    """

    suffix = "-csv"

    def item(self, index: int) -> str:
        part = str(self.parts[index])
        file = self.files[-1 if part == "test" else 0].name
        return f"{file} row {index - int(np.flatnonzero(self.parts == part)[0]) + 1}"

    def _files(self) -> list[Path]:
        return [self.path, *tables_beside(self.path)]

    def _parse(self) -> tuple[Mapping[str, Part], Sequence[str] | None]:
        cache = Cache(self.path, self.name, "table", *self.options)
        arrays = cache.arrays(self.files, self._read_tables)
        parts = {}
        for part, file in zip(("train", "test"), self.files, strict=False):
            if f"{part}_labels" in arrays:
                labels = arrays[f"{part}_labels"]
                images, white = arrays[f"{part}_images"], int(arrays[f"{part}_white"])
                parts[part] = Part(images, white, labels, f"labels in {file.name}")
        for file in self.files[len(parts) :]:
            log.info(printable(f"{file} has no labels, so it is for `python -m mnist_lit predict`"))
        self.files = self.files[: len(parts)]
        return parts, self._names(parts["train"].labels)

    def _names(self, labels: NDArray[Any]) -> Sequence[str] | None:
        """Return the names of the classes where the table is EMNIST's own and has all of them."""
        found = EMNISTS.match(self.path.name.casefold())
        numbers = as_numbers(labels)
        if found is None or numbers.dtype.kind in "US":
            return None
        names = EMNIST[found[1]]
        return names if len(np.unique(numbers)) == len(names) else None

    def _read_tables(self) -> Arrays:
        arrays: Arrays = {}
        for part, file in zip(("train", "test"), self.files, strict=False):
            rows = read(file, self.options)
            if rows.labels is None and part == "train":
                raise InputError(file, f"has no column of labels ({rows.first})", NEAREST)
            if rows.labels is not None:
                found = {"images": rows.images, "labels": rows.labels, "white": rows.white}
                arrays |= {f"{part}_{name}": np.asarray(values) for name, values in found.items()}
        return arrays


class Rows(NamedTuple):
    """What a table holds.

    Args:
        images: N×H×W.
        white: The number that stood for white, 1 or 255; 0 where all is black.
        labels: N words, where there are labels.
        first: How the table begins, for errors.
    """

    images: NDArray[np.uint8]
    white: int
    labels: NDArray[np.str_] | None
    first: str


def tables_beside(path: Path) -> list[Path]:
    """Return the table with the test images of another, if there is one.

    For `mnist_train.csv` it is `mnist_test.csv`, for `FILE.csv` it is `FILE_test.csv`; otherwise
    `test.csv`.
    """
    name = name_of(path)
    names = [re.sub(r"(?i)train(ing)?(?!.*train)", "test", name), f"{name}_test", "test"]
    for other in dict.fromkeys(names):
        for suffix in (".csv", ".csv.gz"):
            beside = path.with_name(other + suffix)
            if other != name and beside.is_file():
                return [beside]
    return []


def read(path: Path, options: Options) -> Rows:
    """Read a table.

    Raises:
        InputError: It is damaged, or doesn't hold an image in each row.
    """
    start = time.monotonic()
    layout = _layout(path)
    grey, n = Grey(options.value_range), 0
    words: list[NDArray[np.str_]] = []  # the columns that aren't pixels for certain
    for chunk in _chunks(path, layout):
        words.append(_words(path, chunk, layout, n))
        grey.add(_numbers(path, chunk, layout, n))
        n += len(chunk)
        if n * layout.side**2 > MAX_PIXELS:
            raise InputError(path, f"has more than {MAX_PIXELS:,} pixels", "cut it in parts")
    if not n:
        raise InputError(path, "holds no rows", NEAREST)
    try:
        pixels, labels = _apart(path, grey, np.concatenate(words), layout)
    except Wrong as wrong:
        raise InputError(path, f"has pixels {wrong.problem}", wrong.remedy) from wrong
    images = pixels.reshape(n, layout.side, layout.side)
    if _is_transposed(path, options):
        images = np.ascontiguousarray(images.swapaxes(1, 2))
    if (seconds := time.monotonic() - start) >= 1:  # a log has no bar
        log.info(printable(f"{n:,} rows of {path.name} read in {seconds:.0f} s"))
    return Rows(images, grey.white, labels, layout.first)


def _is_transposed(path: Path, options: Options) -> bool:
    if options.transposed is None and EMNISTS.match(path.name.casefold()):
        log.info(printable(f"{path.name}: turned upright, since EMNIST's tables lie on their side"))
        return True
    return bool(options.transposed)


class Layout(NamedTuple):
    """What the columns of a table are.

    Args:
        separator: What stands between two cells.
        header: The columns' names; empty where there are none.
        columns: How many there are.
        pixels: The places of those that are pixels for certain.
        side: Of the square image.
        words: The places of labels: one, none, or two of which one is a pixel.
        first: How the table begins, for errors.
    """

    separator: str
    header: list[str]
    columns: int
    pixels: range
    side: int
    words: tuple[int, ...]
    first: str

    def column(self, place: int) -> str:
        """Return what errors call a column."""
        return f"column {place + 1}" + (f" ({self.header[place]})" if self.header else "")


def _layout(path: Path) -> Layout:
    """Return what the columns of a table are, by its first rows.

    Raises:
        InputError: They aren't a label and the pixels of a square image.
    """
    separator, rows = head(path, HEAD)
    if not rows:
        raise InputError(path, "is empty", NEAREST)
    first = f"it begins with {','.join(rows[0][:6])}{',…' if len(rows[0]) > 6 else ''}"
    columns = len(rows[0])
    header = rows[0] if _is_header(rows[0]) else []
    names = [name.strip().casefold() for name in header]
    labels = [i for i, name in enumerate(names) if name in LABELS]
    if len(labels) > 1:
        both = " and ".join(header[i] for i in labels)
        raise InputError(path, f"has the columns {both}", "keep a single column of labels")
    numbers = [i for i, name in enumerate(names) if name in ROW_NUMBERS and i not in labels]
    places = [i for i in range(columns) if i not in (*labels, *numbers)]
    if not labels and not square(len(places)):
        # Of columns without names the label may be the first or the last; row numbers stand first.
        if not header and square(columns - 2) and _count_up(rows):
            places = places[1:]
        if square(len(places) - 1):
            labels = [places[0], places[-1]]
            stems = [re.sub(r"[^a-z]", "", names[i]) for i in places] if header else []
            if header and stems[0] != stems[1] and stems[-1] == stems[-2]:
                labels = labels[:1]
            elif header and stems[0] == stems[1] and stems[-1] != stems[-2]:
                labels = labels[1:]
            places = [i for i in places if i not in labels]
    n = len(places) + (len(labels) == 2)
    side = square(n)
    if side is None or places[-1] - places[0] + 1 != len(places):
        raise InputError(
            path, f"has {columns:,} columns, of which {n:,} could be pixels ({first})", NEAREST
        )
    pixels = range(places[0], places[-1] + 1)
    return Layout(separator, header, columns, pixels, side, tuple(labels), first)


def _is_header(cells: Sequence[str]) -> bool:
    """Tell whether a row has the columns' names; a single word may also be a label."""
    names = [cell.strip().casefold() for cell in cells]
    if any(name in LABELS and len(name) > 1 for name in names):  # a `y` may also be a letter
        return True
    counted = [name for name in names if name not in (*LABELS, *ROW_NUMBERS)]
    if len(counted) > 2 and counted == [str(i) for i in range(len(counted))]:
        return True
    return sum(not _is_number(name) for name in names) > len(names) / 2


def _is_number(word: str) -> bool:
    try:
        return not math.isnan(float(word))
    except ValueError:
        return False


def _count_up(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first cells of rows number these."""
    first = [row[0].strip() for row in rows]
    return any(first == [str(i + start) for i in range(len(rows))] for start in (0, 1))


def _chunks(path: Path, layout: Layout) -> Iterator["pd.DataFrame"]:
    """Yield the rows of a table, some at a time, with a progress bar.

    Raises:
        InputError: It is damaged, or its rows are not of one length.
    """
    import pandas as pd

    with (
        Text(path) as text,
        tqdm(
            total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=None,
            leave=False,
        ) as bar,
    ):  # fmt: skip
        while layout.header and not text.lines.readline().strip():
            pass
        others = [i for i in range(layout.columns) if i not in layout.pixels]
        try:
            for chunk in pd.read_csv(
                text.lines,
                sep=layout.separator,
                header=None,
                dtype=dict.fromkeys(others, str),
                keep_default_na=False,
                low_memory=False,
                chunksize=max(CELLS // layout.columns, 1),
            ):
                if chunk.shape[1] != layout.columns:
                    raise InputError(
                        path,
                        f"has {chunk.shape[1]:,} values in its first row under a header of "
                        f"{layout.columns:,}",
                        "give each row as many",
                    )
                yield chunk
                bar.update(text.position() - bar.n)
        except pd.errors.EmptyDataError:
            return
        except (pd.errors.ParserError, OverflowError) as error:
            text.raise_own()
            what = str(error).removeprefix("Error tokenizing data. C error: ").strip()
            raise InputError(path, f"is not a whole table ({what})", NEAREST) from error


def _words(path: Path, chunk: "pd.DataFrame", layout: Layout, n: int) -> NDArray[np.str_]:
    """Return the columns that may be labels as text; n rows came before.

    Raises:
        InputError: A label is missing.
    """
    if not layout.words:
        return np.empty((len(chunk), 0), str)
    found = chunk.iloc[:, list(layout.words)]
    words: NDArray[np.str_] = np.char.strip(found.to_numpy(str))
    missing = found.isna().to_numpy() | (words == "")
    if missing.any():
        row, column = np.argwhere(missing)[0]
        place = layout.words[column]
        raise InputError(
            path, f"has no value in row {n + row + 1:,}, {layout.column(place)}", "fix the row"
        )
    return words


def _numbers(path: Path, chunk: "pd.DataFrame", layout: Layout, n: int) -> NDArray[Any]:
    """Return the pixels; n rows came before.

    Raises:
        InputError: One is missing or isn't a number.
    """
    pixels = chunk.iloc[:, layout.pixels.start : layout.pixels.stop]
    if all(kind.kind in "iuf" for kind in pixels.dtypes):
        numbers: NDArray[Any] = pixels.to_numpy()
        if numbers.dtype.kind != "f" or not np.isnan(numbers).any():
            return numbers
    for row, cells in enumerate(pixels.itertuples(index=False)):
        for place, cell in zip(layout.pixels, cells, strict=True):
            if cell != cell or str(cell) == "":
                problem = "has no value"
            elif layout.header and str(cell) == layout.header[place]:
                problem = "repeats its header"
            elif isinstance(cell, bool) or not _is_number(str(cell)):
                problem = f"has {str(cell)[:40]!r} where a number belongs,"
            else:
                continue
            where = f"in row {n + row + 1:,}, {layout.column(place)}"
            raise InputError(path, f"{problem} {where}", "fix the row")
    numbers = pixels.to_numpy(np.float64)  # they are too long for the parser
    return numbers


def _apart(
    path: Path, grey: Grey, words: NDArray[np.str_], layout: Layout
) -> tuple[NDArray[np.uint8], NDArray[np.str_] | None]:
    """Return the pixels N×H² and the labels, if there are any.

    Raises:
        InputError: The labels could be the first column or the last.
        Wrong: The pixels cannot be taken.
    """
    if len(layout.words) < 2:
        return np.concatenate(grey.images()), words[:, 0] if layout.words else None
    of_label = _which(path, words[:, 0], words[:, 1])
    other = words[:, 1 - of_label]
    numbers = [_is_number(word) for word in other.tolist()]
    if not all(numbers):
        row = numbers.index(False)
        where = f"in row {row + 1:,}, {layout.column(layout.words[1 - of_label])}"
        raise InputError(path, f"has {other[row]!r} where a number belongs, {where}", "fix the row")
    values = other.astype(np.float64)
    grey.add(values if (values % 1).any() else values.astype(np.int64))
    *blocks, edge = grey.images()
    pixels = np.empty((len(words), layout.side**2), np.uint8)
    np.concatenate(blocks, out=pixels[:, :-1] if of_label == 0 else pixels[:, 1:])
    pixels[:, -1 if of_label == 0 else 0] = edge
    return pixels, words[:, of_label]


def _which(path: Path, first: NDArray[np.str_], last: NDArray[np.str_]) -> int:
    """Return which of two columns holds the labels: 0 for the first, 1 for the last.

    Labels are words, or count classes from 0 or 1 without a gap. A pixel in a corner nearly always
    has one value.

    Raises:
        InputError: It could be either.
    """
    both = [np.unique(column, return_counts=True) for column in (first, last)]
    alike = [counts.max() / counts.sum() for _, counts in both]
    like = [_count_classes(values) for values, _ in both]
    if like[0] != like[1]:
        return like.index(True)
    constant = [share == 1 for share in alike]
    if constant[1]:
        return 0
    if constant[0]:
        return 1
    if (alike[0] < 0.9) != (alike[1] < 0.9):
        return 0 if alike[0] < 0.9 else 1
    raise InputError(
        path,
        "has no header, and its labels could be the first column or the last",
        "put a line with the columns' names in front, with `label` for that of the labels",
    )


def _count_classes(values: NDArray[np.str_]) -> bool:
    if len(values) < 2:
        return False
    if not are_whole(values):
        return not all(map(_is_number, values.tolist()))
    numbers = np.sort(values.astype(np.float64))
    return bool(numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1)
