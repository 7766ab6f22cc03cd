"""Which files are pictures of which class."""

from pathlib import Path

import pytest

from mnist_lit.data.listing import Listing, as_text, scan
from mnist_lit.errors import InputError


def listing(*names: str) -> Listing:
    """Make files, which need not be pictures to be listed, and list them."""
    for name in names:
        path = Path("mine") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    Path("mine").mkdir(exist_ok=True)
    return scan(Path("mine"))


def test_order_of_classes_and_pictures_counts_as_people_do() -> None:
    found = listing(*(f"{i}/{11 - i}.png" for i in range(12)))
    assert found.class_names == [str(i) for i in range(12)]
    assert [file.label for file in found.files] == list(range(11, -1, -1))


def test_what_is_not_a_picture_does_no_harm() -> None:
    found = listing(
        "a/1.png", "b/2.JPG", "b/writer 7/monday/3.tiff", "b/4.heic",
        ".DS_Store", "Thumbs.db", ".hidden/a.png", "a/.DS_Store", "a/._0.png", "a/notes.txt",
        "__MACOSX/a/a.png", "read me.txt",
    )  # fmt: skip
    assert [file.name for file in found.files] == [
        "a/1.png", "b/2.JPG", "b/writer 7/monday/3.tiff", "b/4.heic",
    ]  # fmt: skip
    assert found.class_names == ["a", "b"] and not found.strays and not found.empty


def test_files_are_known_by_size_and_time() -> None:
    before = listing("a/1.png", "b/2.png").files
    Path("mine/a/1.png").write_bytes(b"longer")
    after = scan(Path("mine")).files
    assert before[0].state != after[0].state and before[1].state == after[1].state
    assert before[0].size == 1 and after[0].size == 6


@pytest.mark.parametrize("train, test", [("train", "test"), ("Training", "TESTING")])
def test_what_is_in_no_class(train: str, test: str) -> None:
    found = listing(
        f"{train}/a/1.png", f"{train}/b/2.png", f"{test}/a/3.png", f"{test}/b/4.png",
        "more/a/5.png", "loose.png", f"{train}/lost.jpg", "notes.txt", f"{test}/c/notes.txt",
    )  # fmt: skip
    assert [(file.part, file.label) for file in found.files] == [
        ("train", 0), ("train", 1), ("test", 0), ("test", 1),
    ]  # fmt: skip
    assert set(found.strays) == {"more", "loose.png", f"{train}/lost.jpg"}
    assert found.empty == [f"{test}/c"]


def test_a_folder_named_like_a_picture_is_a_class() -> None:
    found = listing("a.png/1.png", "b.png/2.png")
    assert found.class_names == ["a.png", "b.png"] and not found.strays


def test_links_cannot_lead_round_in_a_circle() -> None:
    listing("a/1.png", "b/2.png")
    Path("mine/a/loop").symlink_to(Path("mine").absolute())
    assert len(scan(Path("mine")).files) == 2


def test_link_that_leads_nowhere() -> None:
    listing("a/1.png", "b/2.png")
    Path("mine/a/lost.png").symlink_to("nowhere.png")
    assert ("a/lost.png", 0, 0) in [file.state for file in scan(Path("mine")).files]


def test_names_are_the_same_in_every_spelling() -> None:
    # As macOS writes é and as others do.
    found = listing("train/e\u0301/1.png", "train/あ/2.png", "test/\u00e9/3.png", "test/あ/4.png")
    assert found.class_names == ["\u00e9", "あ"]
    assert as_text("b\udcff") == "b\ufffd"


@pytest.mark.parametrize(
    "names, problem, remedy",
    [
        ([], "holds no pictures in folders", "into a folder of its name"),
        (["a.png"], "holds no pictures in folders", "into a folder of its name"),
        (["one/a.png"], "has 1 class, not 2", "into a folder of its name"),
        (["one/a.png", "two/a.txt"], "has 1 class, not 2", "into a folder of its name"),
        (["test/one/a.png", "test/two/a.png"], "holds test but no folder", "add mine/train"),
        (["val/one/a.png", "test/one/a.png"], "but no folder of training", "add mine/train"),
    ],
)
def test_not_a_data_set(names: list[str], problem: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        listing(*names)
    assert caught.value.subject == Path("mine")
    assert problem in str(caught.value.problem) and remedy in str(caught.value.remedy)


@pytest.mark.parametrize("names", [["train"], ["training", "valid"], ["Train", "Validation"]])
def test_no_test_pictures(names: list[str]) -> None:
    found = listing(*(f"{part}/{name}/1.png" for part in names for name in "ab"))
    assert [file.part for file in found.files] == [
        "train" if "rain" in Path(file.name).parts[0] else "val" for file in found.files
    ]
    assert found.class_names == ["a", "b"]


def test_train_may_be_a_class() -> None:
    assert listing("train/1.png", "bus/2.png").class_names == ["bus", "train"]


def labels_csv(text: str) -> Listing:
    Path("mine").mkdir(exist_ok=True)
    Path("mine/labels.csv").write_text(text)
    return listing("1.png", "2.png", "more/3.png")


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n1.png,a\n2.png,b\nmore/3.png,a\n",
        "1.png,a\n2.png,b\nmore/3.png,a\n",
        "class;extra;Filename\na;x;1.png\nb;;2.png\na;;more/3.png\n",
        "scan,letter\n1.png,a\n2.png,b\nmore/3.png,a\n",
    ],
)
def test_classes_in_a_file(text: str) -> None:
    found = labels_csv(text)
    assert {file.name: found.class_names[file.label] for file in found.files} == {
        "1.png": "a", "2.png": "b", "more/3.png": "a",
    }  # fmt: skip
    assert not found.strays and not found.empty


def test_what_the_file_does_not_name_or_find() -> None:
    found = labels_csv("file,label\n1.png,a\n4.png,b\n")
    assert found.strays == ["2.png", "more/3.png"]
    assert [file.state for file in found.files if file.name == "4.png"] == [("4.png", 0, 0)]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("file,label\n1.png,a\n2.png,\n", "lacks a file or label in row 2"),
        ("file,label\n1.png,a\n2.png\n", "lacks a file or label in row 2"),
        ("file,label\n1.png,a\n1.png,b\n", "names 1.png twice"),
        ("file,label\n1.png,a\n../2.png,b\n", "names ../2.png, which is elsewhere"),
        ("file,label\n1.png,a\n/etc/2.png,b\n", "names /etc/2.png, which is elsewhere"),
    ],
)
def test_wrong_labels(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        labels_csv(text)
    assert caught.value.subject == Path("mine/labels.csv") and caught.value.problem == problem


def test_a_file_of_that_name_for_something_else() -> None:
    Path("mine").mkdir()
    Path("mine/labels.csv").write_text("number,meaning\n1,a\n2,b\n")
    assert listing("a/1.png", "b/2.png").class_names == ["a", "b"]
