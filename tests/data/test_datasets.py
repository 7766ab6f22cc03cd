"""What a name or path means, and which data belong to a checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import small_data
from helpers import parts
from mnist_lit.data import datasets, sample, table
from mnist_lit.data.arrays import Arrays
from mnist_lit.data.catalogue import CATALOGUE
from mnist_lit.data.folder import Folder
from mnist_lit.data.published import Published
from mnist_lit.errors import Argument, InputError


@dataclass
class Trained:
    """What `datasets` reads of a checkpoint."""

    dataset: str = "mine"
    preprocessing: str = "plain"
    image_size: int = 28
    config: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None


@pytest.fixture
def folder() -> Path:
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), ["a", "b"])
    return Path("mine")


def write_npz(path: str) -> None:
    small_data.write_npz(Path(path), small_data.digits(20, 2), small_data.digits(20, 2, skip=20))


def refused(*args: Any, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        datasets.find(*args, **options)
    return caught.value


def options_of(trained: Trained, **explicit: Any) -> dict[str, Any]:
    return datasets.options_of(trained, explicit)  # type: ignore[arg-type]


def test_what_a_name_means(folder: Path) -> None:
    write_npz("mine.npz")
    assert isinstance(datasets.find(), Published)
    for name, kind in (("mine", Folder), ("mine.npz", Arrays), ("qmnist", Published)):
        found = datasets.find(name)
        assert isinstance(found, kind) and found.image_size == 28
        assert found.name == name.removesuffix(".npz")
        assert bool(found.fingerprint) is (kind is not Published)
    assert datasets.find("mine", image_size=64).image_size == 64
    assert datasets.find("mine.npz", image_size=64).image_size == 64


def test_arguments_that_say_what_happens_later_are_ignored(folder: Path) -> None:
    assert datasets.find("mine", batch_size=5, rotation=3, val_split=0).name == "mine"


def test_preprocessing(folder: Path) -> None:
    assert datasets.find("mine").preprocessing == "plain"
    assert datasets.find("mine", preprocessing="emnist").preprocessing == "emnist"
    assert datasets.find("emnist-letters").preprocessing == "emnist"
    assert datasets.find("emnist-letters", preprocessing="mnist").preprocessing == "mnist"
    assert CATALOGUE["emnist-letters"].preprocessing == "emnist"


@pytest.mark.parametrize("name", CATALOGUE)
def test_published_images_are_never_resized(name: str) -> None:
    for size in (28, 32):
        assert refused(name, image_size=size).subject == Argument("image_size", size)
    assert refused("mnist", source="sample", image_size=32).subject == Argument("image_size", 32)
    assert datasets.find(name).image_size == 28


@pytest.mark.parametrize("size", [7, 257, 0, -28, 28.0, "28", True])
def test_image_size_out_of_range(folder: Path, size: Any) -> None:
    assert refused("mine", image_size=size).subject == Argument("image_size", size)


@pytest.mark.parametrize("name", ["mine", "mine.npz", "kmnist"])
def test_only_mnist_has_a_sample(folder: Path, name: str) -> None:
    write_npz("mine.npz")
    assert refused(name, source="sample").subject == Argument("source", "sample")


def test_no_such_data_set() -> None:
    error = refused("fasion")
    assert error.subject == Argument("dataset", "fasion")
    assert error.remedy == "did you mean fashion?"
    assert refused("emnist").remedy == (
        "did you mean emnist-balanced or emnist-letters or emnist-digits?"
    )
    assert "emnist-letters" in str(refused("mine/pictures").remedy)
    Path("table.txt").write_text("x")
    assert refused("table.txt").subject == Argument("dataset", "table.txt")


def test_names_that_records_cannot_hold() -> None:
    small_data.write_folder(Path("my\n"), small_data.digits(20, 2), ["a", "b"])
    error = refused("my\n")
    assert error.subject == Argument("dataset", "my\\n") and error.remedy == "rename it"


@pytest.mark.parametrize("name", ["mnist", sample.NAME, "fashion"])
def test_own_data_never_have_the_name_of_others(name: str) -> None:
    small_data.write_folder(Path("own") / name, small_data.digits(20, 2), ["a", "b"])
    write_npz(f"own/{name}.npz")
    assert datasets.find(f"own/{name}").name == f"{name}-folder"
    assert datasets.find(f"own/{name}.npz").name == f"{name}-npz"


def test_folder_beside_the_other_data() -> None:
    small_data.write_folder(Path("data/mine"), small_data.digits(20, 2), ["a", "b"])
    found = datasets.find("mine")
    assert isinstance(found, Folder) and found.path == Path("data/mine")
    small_data.write_folder(Path("mine"), small_data.digits(20, 2), ["a", "b"])
    found = datasets.find("mine")
    assert isinstance(found, Folder) and found.path == Path("mine")


def test_run_names() -> None:
    names = {"mnist": "mnist", "a/b/mine": "mine", "a/mine.npz": "mine", "my.letters": "my.letters"}
    assert {name: datasets.run_name(name) for name in names} == names


# Which data belong to a checkpoint.


def test_a_checkpoint_keeps_its_size_and_preprocessing(folder: Path) -> None:
    config = {"data": {"dataset": "mine", "strict": True, "image_size": None, "batch_size": 8}}
    trained = Trained(image_size=64, config=config)
    options = options_of(trained)
    assert options["dataset"] == "mine" and options["image_size"] == 64
    assert options["strict"] is True and options["batch_size"] == 8
    assert datasets.find(**options).image_size == 64
    assert options_of(trained, image_size=32)["image_size"] == 32


def test_other_data_are_prepared_as_the_network_knows_them(folder: Path) -> None:
    data = {"dataset": "gone", "strict": True, "source": "auto", "preprocessing": None}
    trained = Trained("gone", "emnist", 64, {"data": data})
    options = options_of(trained, dataset="mine")
    assert options["dataset"] == "mine" and options["preprocessing"] == "emnist"
    assert options["image_size"] == 64 and "strict" not in options and "source" not in options
    published = options_of(trained, dataset="kmnist")
    assert published["image_size"] is None and published["preprocessing"] is None
    assert datasets.find(**published).image_size == 28
    assert options_of(trained, dataset="mine", preprocessing="plain")["preprocessing"] == "plain"


def test_data_that_are_gone() -> None:
    trained = Trained("mine", config={"data": {"dataset": "mine"}})
    with pytest.raises(InputError) as caught:
        options_of(trained)
    assert caught.value.subject == "mine" and Argument("dataset") in parts(caught.value.remedy)
    with pytest.raises(InputError):
        datasets.options_of_config({"data": {"dataset": "mine"}})


@pytest.mark.parametrize("trained_on, source", [("mnist", "full"), (sample.NAME, "sample")])
def test_mnist_and_its_sample(trained_on: str, source: str) -> None:
    for config in ({}, {"data": {"dataset": "mnist", "source": "auto", "image_size": None}}):
        options = options_of(Trained(trained_on, "mnist", 28, config))
        assert options["dataset"] == "mnist" and options["source"] == source
        assert options.get("image_size") is None
    assert options_of(Trained(trained_on), source="auto")["source"] == "auto"


def test_checkpoint_without_a_config(folder: Path) -> None:
    """As a Trainer in the user's own program writes it."""
    assert options_of(Trained("kmnist", "plain"))["dataset"] == "kmnist"
    options = options_of(Trained("mine", "mnist", 32))
    found = datasets.find(**options)
    assert (found.name, found.preprocessing, found.image_size) == ("mine", "mnist", 32)
    with pytest.raises(InputError, match="letters is not there"):
        options_of(Trained("letters"))


def test_a_checkpoints_preprocessing_counts(folder: Path) -> None:
    trained = Trained(preprocessing="mnist", config={"data": {"dataset": "mine"}})
    assert options_of(trained)["preprocessing"] == "mnist"


def test_recorded_folder_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    small_data.shrink(monkeypatch)
    config = {"data": {"dataset": "kmnist", "data_dir": "there"}}
    assert "data_dir" not in options_of(Trained("kmnist", config=config))  # moved
    parts = small_data.digits(100, 10), small_data.digits(50, 10, skip=100)
    small_data.write_idx(CATALOGUE["kmnist"], Path("there"), *parts)
    assert options_of(Trained("kmnist", config=config))["data_dir"] == "there"
    assert datasets.options_of_config(config)["data_dir"] == "there"
    assert options_of(Trained("kmnist", config=config), data_dir="here")["data_dir"] == "here"


def test_a_run_without_a_checkpoint(folder: Path) -> None:
    recorded = {"dataset": "mine", "image_size": 64, "preprocessing": "mnist"}
    options = datasets.options_of_config({"data": recorded})
    assert options == recorded
    assert datasets.options_of_config({}, {"batch_size": 3}) == {
        "dataset": "mnist", "image_size": None, "batch_size": 3,
    }  # fmt: skip


def test_changed_data(folder: Path) -> None:
    found = datasets.find("mine")
    for fingerprint, name, changed in (
        (None, "mine", False),
        (found.fingerprint, "mine", False),
        ("other", "mine", True),
        ("other", "elsewhere", False),
    ):
        trained: Any = Trained(name, fingerprint=fingerprint)
        assert datasets.has_changed(found, trained) is changed


@pytest.mark.parametrize("value", [[1, 0], [0], [0, 1, 2], [0, float("inf")]])
def test_no_range_of_values(value: list[float]) -> None:
    write_npz("mine.npz")
    assert refused("mine.npz", value_range=value).subject == Argument("value_range", value)


@pytest.mark.parametrize("options", [{"value_range": [0, 255]}, {"transposed": True}])
@pytest.mark.parametrize("name", ["mine", "mnist"])
def test_numbers_are_read_in_files_alone(folder: Path, name: str, options: dict[str, Any]) -> None:
    assert refused(name, **options).subject == Argument(*next(iter(options.items())))


def test_kinds_of_files() -> None:
    small_data.write_kaggle(small_data.digits(20, 2), small_data.digits(20, 2))
    found = datasets.find("train.csv")
    assert isinstance(found, table.Table) and found.name == "train"
    Path("train.csv").rename("mnist.CSV")
    assert datasets.find("mnist.CSV").name == "mnist-csv"
    assert datasets.run_name("a/train.csv.gz") == "train"


@pytest.mark.parametrize(
    "given, name",
    [
        ("MNIST", "mnist"),
        ("FashionMNIST", "fashion"),
        ("fashion-mnist", "fashion"),
        ("KMNIST", "kmnist"),
        ("EMNIST_letters", "emnist-letters"),
    ],
)
def test_other_spellings_of_published_names(given: str, name: str) -> None:
    Path("data", given).mkdir(parents=True)  # where torchvision keeps the files of some
    assert datasets.find(given).name == name
    assert datasets.run_name(given) == name


def test_a_folder_of_that_name_is_the_users_own(folder: Path) -> None:
    folder.rename("Fashion")
    found = datasets.find("Fashion")
    assert isinstance(found, Folder) and found.name == "Fashion"
