"""Keras's files as networks: real Keras, on its PyTorch backend, is the oracle."""

from typing import Any

import keras
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import keras_chains
from mnist_lit.formats.keras import model as keras_model
from mnist_lit.formats.keras.codecs import CODECS, LEFT_OUT

QUICK = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example takes half a second, so that shrinking would take hours
)
MANY = settings(QUICK, max_examples=300)


def compare(model: Any, how: str) -> None:
    """Compare real Keras's answers with those of the network that its file becomes."""
    path = keras_chains.save(model, how)
    pixels = keras_chains.images(model)
    expected = keras_chains.answers(model, pixels)
    found = keras_model.read(path)
    with torch.inference_mode():
        probabilities = found.build()(torch.from_numpy(pixels)).exp().numpy()
    assert abs(probabilities - expected).max() <= 1e-5, found.rows
    # Every layer of Keras's is accounted for, under its own name.
    names = [layer.name for layer in model.layers if not hasattr(layer, "batch_shape")]
    assert [row.name for row in found.rows] == names


@QUICK
@given(data=st.data())
def test_random_chains(data: st.DataObject) -> None:
    compare(keras_chains.draw_model(data), data.draw(st.sampled_from(keras_chains.FORMATS)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@MANY
@given(data=st.data())
def test_many_random_chains(data: st.DataObject) -> None:
    compare(keras_chains.draw_model(data), data.draw(st.sampled_from(keras_chains.FORMATS)))


# What the layers need to be made; some are of older versions.
ARGUMENTS: dict[str, tuple[float, ...]] = {
    "RandomPosterization": (4,), "RandomTranslation": (0.3, 0.3), "RandomFlip": (),
    "RandomInvert": (), "RandomErasing": (), "RandomPerspective": (), "RandomGrayscale": (),
    "RandomGaussianBlur": (), "RandomElasticTransform": (), "AugMix": (), "CutMix": (),
    "MixUp": (), "RandAugment": (),
}  # fmt: skip
OF_KERAS_2 = {
    "BatchNormalizationV1", "BatchNormalizationV2", "RandomHeight", "RandomWidth",
}  # fmt: skip


def test_augmentation_is_left_out() -> None:
    there = [kind for kind in LEFT_OUT if kind not in OF_KERAS_2 and hasattr(keras.layers, kind)]
    assert len(there) > 10
    middle = [getattr(keras.layers, kind)(*ARGUMENTS.get(kind, (0.3,))) for kind in there]
    ends = [keras.layers.Flatten(), keras.layers.Dense(10, name="logits")]
    model = keras.Sequential([keras.layers.Input((12, 12, 1)), *middle, *ends])
    compare(model, "keras")
    rows = keras_model.read("model.keras").rows
    assert [row.ours for row in rows] == [()] * len(there) + [("flatten",), ("dense1",)]
    assert all("left out" in row.note for row in rows[: len(there)])


def test_every_class_of_the_table_is_one_of_keras() -> None:
    assert {kind for kind in CODECS if not hasattr(keras.layers, kind)} <= OF_KERAS_2
