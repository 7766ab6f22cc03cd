"""`predict` as a function."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from drawings import photographs_of_a_2
from mnist_lit import Network, predict
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import Argument, InputError
from mnist_lit.network.inference import probabilities
from mnist_lit.pictures import preprocessing
from mnist_lit.prediction import expand, upright
from mnist_lit.prediction import test_image as find_test_image
from mnist_lit.training.module import MNISTModule
from small_data import digit_files


@pytest.fixture
def digits() -> list[int]:
    """Files 0.png to 19.png of test digits of the sample; returns their labels."""
    return digit_files()


def test_digits(digits: list[int]) -> None:
    found = list(predict([f"{i}.png" for i in range(20)]))
    right = [row.label == str(label) for row, label in zip(found, digits, strict=True)]
    assert np.mean(right) > 0.9
    for row in found:
        assert 0 <= row.runner_up_probability <= row.probability <= 1
        assert row.label != row.runner_up


def test_one_file(digits: list[int]) -> None:
    assert list(predict("0.png")) == list(predict([Path("0.png")]))


def test_photographs_on_their_side() -> None:
    """They are turned; what is too small for a camera's picture is read as it lies."""
    for name, picture in photographs_of_a_2().items():
        picture.save(f"{name}.png")
        (row,) = predict(f"{name}.png")
        assert row.note == ("turned upright" if name in ("left", "right") else ""), name
        assert (row.label == "2") == (name != "small"), name
        (alone,) = predict(f"{name}.png", split=True)
        assert alone.label == row.label and alone.note == row.note, name
        assert not preprocessing.read(f"{name}.png", "plain").may_lie


def test_doubt_that_float32_cannot_tell_turns_nothing() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[2, 3] = 255  # in another place when the image is turned
    network = Network(network=["Flatten", "Linear"], num_classes=2)
    weight, bias = network.parameters()
    for doubt, note in ((5e-5, ""), (5e-4, "turned upright")):
        with torch.no_grad():
            weight.zero_()
            bias.copy_(torch.tensor([40.0, 0]))
            weight[0, 2 * 28 + 3] = -40 - math.log(doubt)
        picture = preprocessing.Picture(image, "", may_lie=True)
        assert upright(network, picture).note == note


def test_broken_file(digits: list[int]) -> None:
    Path("4.png").write_bytes(Path("4.png").read_bytes()[:60])
    with pytest.raises(InputError) as caught:
        list(predict(["0.png", "4.png"]))
    assert str(caught.value.subject) == "4.png"
    heard: list[InputError] = []
    found = list(predict(["0.png", "4.png", "2.png"], broken=heard.append))
    assert [row.file for row in found] == ["0.png", "2.png"]
    assert [str(error.subject) for error in heard] == ["4.png"]


def save(**values: object) -> Path:
    torch.manual_seed(0)
    module = MNISTModule(**values)  # type: ignore[arg-type]
    content = {"epoch": 0, "state_dict": module.state_dict()}
    checkpoints.write(Path("a.ckpt"), content | {"hyper_parameters": dict(module.hparams)})
    return Path("a.ckpt")


def test_as_the_checkpoint_takes_pictures(digits: list[int]) -> None:
    """Image size, preprocessing and class names are the checkpoint's own."""
    names = ["one", "two", "three"]
    values = {"num_classes": 3, "class_names": names, "image_size": 40, "preprocessing": "plain"}
    checkpoint = save(dataset="letters", network=["Flatten", {"Linear": 9}, "Linear"], **values)
    (found,) = predict("0.png", checkpoint)
    image = preprocessing.read("0.png", "plain", 40).image
    assert image.shape == (40, 40)
    network = checkpoints.read(checkpoint).build()
    expected = probabilities(network, torch.from_numpy(image)[None, None])[0]
    assert found.label == names[int(expected.argmax())]
    assert found.probability == float(expected.max())


def test_test_image_of_another_size() -> None:
    checkpoint = checkpoints.read(save(image_size=40, dataset="mnist-sample-5k"))
    with pytest.raises(InputError) as caught:
        find_test_image(0, checkpoint, {"dataset": "mnist", "source": "sample"})
    assert caught.value.subject == "mnist-sample-5k"
    remedy = caught.value.remedy
    assert isinstance(remedy, tuple) and Argument("dataset") in remedy


def test_nothing_to_read() -> None:
    Path("empty").mkdir()
    Path("empty/.hidden.png").touch()
    for name, problem in (("empty", "holds no picture"), ("*.x", "is not there and fits no file")):
        with pytest.raises(InputError) as caught:
            expand([name])
        assert (caught.value.subject, caught.value.problem) == (name, problem)


def test_order_of_files() -> None:
    for name in ("b.png", "a.PNG", "in/c.jpg", "in/notes.txt", "in/.d/e.png"):
        path = Path("folder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files = ["folder/a.PNG", "folder/b.png", "folder/in/c.jpg"]
    left_out: dict[str, list[str]] = {}
    assert expand(["folder"], left_out.__setitem__) == files
    assert left_out == {"folder": ["in/notes.txt"]}
    assert expand(["folder/in", "none.png", "folder/?.png"]) == [files[2], "none.png", files[1]]


def test_memory_stays_bounded(digits: list[int]) -> None:
    """Pictures are read as they are needed: a batch at once, not all."""
    alive = 0

    def paths() -> Iterator[str]:  # counts how far ahead it is asked
        nonlocal alive
        for _ in range(2_000):
            alive += 1
            yield "0.png"

    for i, _ in enumerate(predict(paths())):
        assert alive - i <= 256
    assert alive == 2_000
