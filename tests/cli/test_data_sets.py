"""What follows from the data set: figures, weights, imports and exports by its class names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import small_data
from helpers import SHORT, Command
from mnist_lit import export_checkpoint, import_keras
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.data import datasets
from mnist_lit.network import inference
from mnist_lit.pictures import preprocessing as pictures

pytestmark = pytest.mark.undrawn

NAMES = ["□", "△", "○"]
ONE = (*SHORT[2:], "--trainer.max_epochs", 1)


@pytest.fixture
def shapes() -> Path:
    """A folder of three classes, in which test pictures of one are rare."""
    small_data.write_folder(Path("shapes/train"), small_data.digits(90, 3), NAMES)
    images, labels = small_data.digits(60, 3, skip=90)
    kept = (labels < 2) | (np.arange(60) > 50)
    small_data.write_folder(Path("shapes/test"), (images[kept], labels[kept]), NAMES)
    return Path("shapes")


def test_balanced_accuracy_where_classes_are_unlike(command: Command, shapes: Path) -> None:
    answer = command("fit", "--data.dataset", shapes, *ONE)
    assert answer.code == 0 and "balanced_accuracy" in answer.out
    last = json.loads(Path("runs/shapes/version_0/summary.json").read_text())["last"]
    answer = command("test", "--ckpt_path", "last", "--output", "t.json")
    found = json.loads(Path("t.json").read_text())
    assert found["n"] == 43 and found["balanced_accuracy"] == last["balanced_accuracy"]
    # The mean of the shares read right, from the network's answers themselves.
    data = datasets.find("shapes", "data")
    images, labels = data.load(0)["test"]
    network = checkpoints.read("runs/shapes/version_0/checkpoints/last.ckpt").build()
    right = inference.log_probabilities(network, images).argmax(1) == labels
    shares = [float(right[labels == label].double().mean()) for label in range(3)]
    assert found["balanced_accuracy"] == pytest.approx(sum(shares) / 3, abs=1e-12)
    assert found["accuracy"] == pytest.approx(float(right.double().mean()), abs=1e-12)


def test_no_balanced_accuracy_where_classes_are_alike(command: Command) -> None:
    answer = command("fit", *SHORT, "--trainer.max_epochs", 1)
    assert answer.code == 0 and "balanced" not in answer.out


def test_weights_of_as_many_other_classes_start_a_new_last_layer(command: Command) -> None:
    """Ten characters are not ten digits, although the layer would fit."""
    small_data.write_npz(Path("signs.npz"), small_data.digits(80, 10), small_data.digits(20, 10),
                         class_names=np.array(list("abcdefghij")))  # fmt: skip
    options = (*ONE, "--model.lr", "1e-30", "--weights", "pretrained")
    answer = command("fit", "--data.dataset", "signs.npz", *options)
    assert answer.code == 0 and "pretrained: newly initialised: dense2" in answer.out
    path = "runs/signs/version_0/checkpoints/last.ckpt"
    now, before = (checkpoints.read(p).weights for p in (path, "pretrained"))
    assert {name for name in now if not torch.equal(now[name], before[name])} == {
        "dense2.weight", "dense2.bias",
    }  # fmt: skip
    digits = command("fit", *SHORT, *ONE[2:], "--weights", "pretrained")
    assert digits.code == 0 and "anew" not in digits.out


def test_weights_of_another_network(command: Command) -> None:
    assert command("fit", *SHORT, "--model.network", "small", "--trainer.max_epochs", 1).code == 0
    weights = ("--weights", "runs/mnist/version_0/checkpoints/last.ckpt")
    answer = command("fit", *SHORT, *weights, "--model.network", "notebook")
    assert answer.code == 2 and "no layer of the same name and shape" in answer.err
    # Where no network is named, it is that of the weights.
    assert command("fit", *SHORT, *weights, "--trainer.max_epochs", 1, "--name", "more").code == 0
    config = yaml.safe_load(Path("runs/more/version_0/config.yaml").read_text())
    assert config["model"]["network"] == "small"
    chain = ["Flatten", {"Linear": 8}, "ReLU", "Linear"]
    command("fit", *SHORT, "--model.network", str(chain), "--trainer.max_epochs", 1)
    weights = ("--weights", "runs/mnist/version_1/checkpoints/last.ckpt")
    assert command("fit", *SHORT, *weights, "--model.lr", "0.01", "--name", "own").code == 0
    config = yaml.safe_load(Path("runs/own/version_0/config.yaml").read_text())
    assert config["model"]["network"]["layers"] == chain


def test_a_keras_file_gets_the_names_of_its_data(command: Command, shapes: Path) -> None:
    import keras  # takes seconds

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save("model.keras")
    args = ("import-keras", "model.keras", "--output", "imported.ckpt")
    assert command(*args, "--data.dataset", shapes).code == 0
    imported = checkpoints.read("imported.ckpt")
    assert imported.class_names == NAMES and imported.dataset == "shapes"
    answer = command("test", "--ckpt_path", "imported.ckpt")
    assert answer.code == 0 and "dataset           shapes" in answer.out
    answer = command("fit", "--ckpt_path", "imported.ckpt", "--name", "on", *ONE)
    said = "imported.ckpt may have been trained on the validation images"
    assert answer.code == 0 and said in answer.out
    answer = command(*args, "--data.dataset", "fashion")
    assert answer.code == 2 and "has 3 classes and fashion has 10" in answer.err
    # Without data, by numbers; and it can be handed on like any other.
    answer = command(*args)
    assert "what data it is of isn't known: --data.dataset DATA names them" in answer.out
    assert "--ckpt_path imported.ckpt --data.dataset DATA" in answer.out
    answer = command("test", "--ckpt_path", "imported.ckpt")
    assert answer.code == 2 and "name the data it was trained on by --data.dataset" in answer.err
    assert command("test", "--ckpt_path", "imported.ckpt", "--data.dataset", shapes).code == 2
    import_keras("model.keras", "imported.ckpt")
    assert checkpoints.read("imported.ckpt").class_names == ["0", "1", "2"]
    export_checkpoint("imported.ckpt", ["safetensors"], "out")
    assert checkpoints.read("out/mnist.safetensors").class_names == ["0", "1", "2"]


@pytest.mark.parametrize("moved", [False, True])
def test_exports_know_the_classes(command: Command, shapes: Path, moved: bool) -> None:
    assert command("fit", "--data.dataset", shapes, *ONE).code == 0
    if moved:  # then the sample's images stand in, of which no accuracy is given
        shapes.rename("elsewhere")
    answer = command("export", "--format", "html", "safetensors", "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    certificate = json.loads(Path("out/certificate.json").read_text())
    assert certificate["class_names"] == NAMES
    assert certificate["trained_on"] == "shapes"
    assert certificate["dataset"] == ("mnist-sample-5k" if moved else "shapes")
    for row in certificate["files"].values():
        assert ("accuracy" in row) is not moved
    assert ("without accuracies: the test images of shapes cannot be had" in answer.out) is moved
    page = Path("out/mnist.html").read_text("utf-8")
    model = re.search(r'<script id="model"[^>]*>(.*?)</script>', page, re.S)
    assert model and json.loads(model[1])["class_names"] == NAMES


def test_what_is_odd_stands_with_the_figures(command: Command, shapes: Path) -> None:
    small_data.write_folder(shapes / "test", small_data.digits(6, 3), NAMES)  # trained on
    answer = command("fit", "--data.dataset", shapes, *ONE)
    said = "6 test images are also among the training images"
    assert answer.code == 0 and f"note: {said}\n" in answer.out and f": {said}\n" in answer.err
    run = Path("runs/shapes/version_0")
    assert json.loads((run / "summary.json").read_text())["warnings"] == [said]
    assert command("report").code == 0
    assert f"<li>{said}</li>" in (run / "report.html").read_text("utf-8")


@pytest.mark.parametrize("preprocessing", ["plain", "emnist"])
def test_predict_prepares_as_the_training_did(
    command: Command, shapes: Path, preprocessing: str
) -> None:
    options = ("--data.dataset", shapes, "--data.preprocessing", preprocessing)
    assert command("fit", *options, *ONE).code == 0
    image = Image.new("L", (120, 90), 250)
    image.paste(10, (30, 20, 50, 80))
    image.save("photo.png")
    answer = command("predict", "photo.png", "--output", "t.json")
    path = Path("runs/shapes/version_0/checkpoints/best.ckpt")
    assert f"by {path}, trained on shapes\n" in answer.out
    network = checkpoints.read(path).build()
    probability = {}
    for other in ("mnist", preprocessing):
        seen = torch.from_numpy(pictures.read("photo.png", other).image)[None, None]
        probability[other] = float(inference.probabilities(network, seen).max())
    found = json.loads(Path("t.json").read_text())[0]["probability"]
    assert found == pytest.approx(probability[preprocessing], abs=1e-6)
    assert abs(probability["mnist"] - probability[preprocessing]) > 1e-5


def test_other_pictures_are_prepared_as_the_network_knows_them(
    command: Command, shapes: Path
) -> None:
    options = ("--data.dataset", shapes, "--data.preprocessing", "emnist")
    assert command("fit", *options, *ONE).code == 0
    before = command("test").out
    shapes.rename("elsewhere")
    after = command("test", "--data.dataset", "elsewhere")
    assert after.code == 0
    assert after.out.replace("elsewhere", "shapes") == before


def test_scans_are_prepared_for_a_network_of_mnist(command: Command) -> None:
    for part, skip in (("train", 0), ("test", 20)):
        images, labels = small_data.digits(20, 10, skip=skip)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = Path("scans") / part / str(label) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - image).resize((90, 120)).save(path)
    test = ("test", "--ckpt_path", "pretrained", "--data.dataset", "scans")
    found = command(*test)
    assert found.code == 0 and "dataset     scans" in found.out
    assert found.out == command(*test, "--data.preprocessing", "mnist").out
    assert found.out != command(*test, "--data.preprocessing", "plain").out


def test_name_of_a_folder_beside_the_other_data(command: Command, shapes: Path) -> None:
    Path("data").mkdir()
    shapes.rename("data/shapes")
    assert command("fit", "--data.dataset", "shapes", *ONE).code == 0
    assert Path("runs/shapes/version_0").is_dir()
    answer = command("test")
    assert answer.code == 0 and "shapes" in answer.out


def test_samples_and_doctor(command: Command, shapes: Path) -> None:
    answer = command("samples", "--data.dataset", shapes, "--classes", "△", "--output", "s.png")
    assert answer.code == 0 and answer.out == "24 training images of shapes: s.png\n"
    answer = command("doctor", "--data.dataset", shapes)
    assert answer.code == 0 and "24 of □, 24 of △, 24 of ○" in answer.out
    Path("shapes/train/○/broken.jpg").write_bytes(b"x")
    Path("shapes/train/○/moving.webp").write_bytes(b"GIF89a")
    answer = command("doctor", "--data.dataset", shapes)
    assert answer.code == 1
    for name in ("broken.jpg", "moving.webp"):
        assert f"shapes/train/○/{name} is not a whole PNG" in answer.out


def test_doctor_names_the_download(command: Command) -> None:
    answer = command("doctor", "--data.dataset", "fashion")
    assert answer.code == 1 and "fit --data.dataset fashion --data.data_dir data" in answer.out


def test_strict(command: Command, shapes: Path) -> None:
    Path("shapes/train/○/broken.jpg").write_bytes(b"x")
    answer = command("fit", "--data.dataset", shapes, "--data.strict", "true", *ONE)
    assert answer.code == 2 and answer.err.count("\n") == 1
    assert "broken.jpg is not a whole PNG" in answer.err and "--data.strict" in answer.err
    assert not Path("runs").exists()
    assert command("fit", "--data.dataset", shapes, *ONE).code == 0


def test_a_run_on_a_folder(command: Command) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(100, 2), ["うさぎ", "<b>ねこ"])
    answer = command("fit", "--data.dataset", "mine", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "")
    assert Path("runs/mine/version_0/summary.json").is_file()
    assert "dataset     mine" in command("test").out
    picture = next(Path("mine/うさぎ").iterdir())
    assert "うさぎ" in command("predict", picture).out
    # Moved, it is asked for, and found again where the user says.
    Path("mine").rename("elsewhere")
    answer = command("test")
    assert answer.code == 2 and "error: mine is not there" in answer.err
    answer = command("test", "--data.dataset", "elsewhere")
    assert answer.code == 0 and "dataset     elsewhere" in answer.out


def test_names_that_are_no_text(command: Command) -> None:
    small_data.write_folder(Path("my.letters"), small_data.digits(40, 2), ["a", "b\udcff"])
    answer = command("fit", "--data.dataset", "my.letters", *SHORT[2:], "--trainer.max_epochs", 1)
    assert (answer.code, answer.err) == (0, "") and Path("runs/my.letters").is_dir()
    answer = command("predict", next(Path("my.letters/a").iterdir()), "--output", "t.csv")
    assert (answer.code, answer.err) == (0, "")
    Path("my.letters").rename("my\udcff")
    answer = command("fit", "--data.dataset", "my\udcff")
    assert answer.code == 2 and "rename it" in answer.err


@pytest.mark.parametrize("classes", [2, 1000])
def test_few_and_many_classes(command: Command, classes: int) -> None:
    names = [f"字{i}" for i in range(classes)]
    n = max(classes, 40)
    small_data.write_folder(Path("mine/train"), small_data.digits(n, classes), names)
    test = small_data.digits(n, classes, skip=n)
    small_data.write_folder(Path("mine/test"), test, names)
    options = ("--data.val_split", 0, *SHORT[2:], "--trainer.max_epochs", 1)
    assert command("fit", "--data.dataset", "mine", *options).code == 0
    answer = command("test", "--ckpt_path", "last")
    assert answer.code == 0 and f"n           {n}" in answer.out


def test_folder_of_a_known_name_is_not_taken_for_it(command: Command) -> None:
    small_data.write_folder(Path("mnist"), small_data.digits(40, 10), list("0123456789"))
    found = command("fit", "--data.dataset", "./mnist", *SHORT[2:], "--trainer.max_epochs", 1)
    assert found.code == 0 and "mnist-folder" in found.out
    assert Path("runs/mnist/version_0").is_dir()
    assert "dataset     mnist-folder" in command("test").out


def test_folder_that_changes_after_the_training(command: Command) -> None:
    small_data.write_folder(Path("mine"), small_data.digits(60, 2), NAMES)
    fit = ("fit", "--data.dataset", "mine", *SHORT[2:], "--trainer.max_epochs")
    assert command(*fit, 1).code == 0
    assert command("test").err == ""
    small_data.write_folder(Path("mine"), small_data.digits(90, 2), NAMES)
    answer = command("test")
    assert answer.code == 0 and "warning: mine has changed since" in answer.err
    answer = command("fit", "--ckpt_path", "last", "--trainer.max_epochs", 2)
    start = "start a new run by --data.dataset mine --weights runs/mine/"
    assert answer.code == 2 and start in answer.err
    answer = command("report")
    page = Path("runs/mine/version_0/report.html").read_text("utf-8")
    assert answer.code == 0 and "mine has changed since" in page
    Path(f"mine/{NAMES[0]}/00088.png").unlink()
    answer = command(*fit, 1, "--weights", "runs/mine/version_0/checkpoints/last.ckpt")
    assert answer.code == 0 and "test pictures may be among those trained on" in answer.out


def test_no_such_data_set(command: Command) -> None:
    answer = command("fit", "--data.dataset", "fasion")
    assert answer.code == 2 and "did you mean fashion?" in answer.err
    answer = command("fit", "--data.dataset", "mine/letters")
    assert answer.code == 2 and "emnist-letters" in answer.err and answer.err.count("\n") == 1


def test_image_size(command: Command, shapes: Path) -> None:
    """A folder at another size: trained, tested, read by predict, without naming it again."""
    fit = ("fit", "--data.dataset", shapes, "--data.image_size", 32, *ONE)
    answer = command(*fit)
    assert answer.code == 0, answer.err
    checkpoint = checkpoints.read("runs/shapes/version_0/checkpoints/last.ckpt")
    assert checkpoint.image_size == 32 and checkpoint.build().image_size == 32
    assert command("test", "--ckpt_path", "last").code == 0
    assert command("predict", next(Path("shapes/test").rglob("*.png"))).code == 0
    shapes.rename("elsewhere")
    assert command("test", "--ckpt_path", "last", "--data.dataset", "elsewhere").code == 0


@pytest.mark.parametrize("command_line", [("fit",), ("fit", "--data.dataset", "kmnist")])
def test_published_images_are_never_resized(
    command: Command, command_line: tuple[object, ...]
) -> None:
    answer = command(*command_line, "--data.image_size", 32)
    assert answer.code == 2 and answer.err.startswith("error: --data.image_size 32 ")
    assert not Path("runs").exists()
