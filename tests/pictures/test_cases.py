"""Pictures that people have: drawn, scanned and photographed, with their labels."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from mnist_lit import predict

MISREAD = "network_"  # by the network itself


def labelled(folder: Path) -> dict[Path, str]:
    with (folder / "pictures" / "labels.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {folder / "pictures" / row["file"]: row["label"] for row in rows}


def test_pictures_are_read_right(cases_dir: Path) -> None:
    expected = {
        path: label
        for path, label in labelled(cases_dir).items()
        if not path.name.startswith((MISREAD, "sheet_"))
    }
    assert len(expected) >= 21
    found = predict([str(path) for path in expected], "pretrained")
    wrong = {
        Path(row.file).name: row.label for row in found if row.label != expected[Path(row.file)]
    }
    assert not wrong


@pytest.mark.parametrize("label", ["2", "7"])
def test_thin_strokes_in_light_and_shadow(cases_dir: Path, label: str) -> None:
    """The digits lie on their side, and are turned."""
    lying = cases_dir / "pictures" / f"shadow_{label}.png"
    with Image.open(lying) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save("upright.png")
    for path in (lying, "upright.png"):
        (row,) = predict(path, "pretrained")
        assert row.label == label and row.probability > 0.99
        assert row.note.endswith("turned upright") == (path == lying)


def test_sheets_of_many_characters_are_flagged(cases_dir: Path) -> None:
    sheets = [str(path) for path in labelled(cases_dir) if path.name.startswith("sheet_")]
    assert len(sheets) == 2
    notes = {row.note for row in predict(sheets, "pretrained")}
    assert notes == {"more than one character?"}


@pytest.mark.parametrize("name", ["tiny_5.png", "border1px_3_3_1.png", "lines_frame_4.png"])
def test_the_notes_are_quiet_where_nothing_is_wrong(cases_dir: Path, name: str) -> None:
    (row,) = predict([str(cases_dir / "pictures" / name)], "pretrained")
    assert row.note == ""


def test_a_sheet_is_split_into_its_characters(cases_dir: Path) -> None:
    found = list(predict(cases_dir / "pictures" / "sheet_24_digits.png", "pretrained", split=True))
    expected = "12345" + "6879" + "88888" + "66666" + "77777"
    assert len(found) == 24
    assert sum(row.label == digit for row, digit in zip(found, expected, strict=True)) >= 22


def test_a_line_of_a_page_is_read_in_order(cases_dir: Path) -> None:
    """Above the digits are words, and the page's upper edge is a folder's."""
    path = cases_dir / "pictures" / "sheet_with_folder_edge.png"
    labels = "".join(row.label for row in predict(path, "pretrained", split=True))
    assert "0123456789" in labels
