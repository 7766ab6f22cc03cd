"""Write `same.zip`: small models with TensorFlow's `same` padding, and the answers it gave.

`python make_same.py`, with TensorFlow 2.15 or older installed. Keras on PyTorch pads averages in
another way, so these numbers can't be made in a test. Weights are rounded: the archive stays small.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

keras: Any = tf.keras
layers = keras.layers
keras.utils.set_random_seed(0)
SAME: dict[str, Any] = {"padding": "same"}
MODELS: dict[str, tuple[int, list[Any]]] = {
    "conv-3-2-even": (10, [layers.Conv2D(2, 3, strides=2, **SAME)]),
    "conv-3-2-odd": (11, [layers.Conv2D(2, 3, strides=2, **SAME)]),
    "conv-4-3": (11, [layers.Conv2D(2, (4, 5), strides=(3, 2), **SAME)]),
    "conv-2-1": (9, [layers.Conv2D(2, (2, 4), **SAME)]),
    "conv-dilated": (9, [layers.Conv2D(2, (2, 3), dilation_rate=(3, 2), **SAME)]),
    "depthwise-3-2": (12, [layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, **SAME)]),
    "separable-3-2": (12, [layers.SeparableConv2D(3, 4, strides=2, **SAME)]),
    "max-3-2": (10, [layers.Conv2D(2, 1), layers.MaxPooling2D(3, strides=2, **SAME)]),
    "max-2-2": (9, [layers.Conv2D(2, 1), layers.MaxPooling2D(2, **SAME)]),
    "max-4-3": (11, [layers.Conv2D(2, 1), layers.MaxPooling2D((4, 3), strides=(3, 2), **SAME)]),
    "average-3-2": (10, [layers.AveragePooling2D(3, strides=2, **SAME)]),
    "average-3-1": (10, [layers.AveragePooling2D(3, strides=1, **SAME)]),
    "average-4-3": (11, [layers.AveragePooling2D((4, 5), strides=(3, 2), **SAME)]),
    "batch-norm": (8, [layers.BatchNormalization(), layers.Conv2D(2, 3), layers.LeakyReLU()]),
}
answers = {}
with zipfile.ZipFile("same.zip", "w", zipfile.ZIP_LZMA) as archive:
    for name, (side, middle) in MODELS.items():
        ends = [layers.Flatten(), layers.Dense(3, activation="softmax")]
        model = keras.Sequential([layers.Input((side, side, 1)), *middle, *ends])
        model.set_weights([(w * 16 + 1).round() / 16 for w in model.get_weights()])
        images = np.random.default_rng(0).random((4, side, side, 1), np.float32)
        answers[name] = model.predict(images, verbose=0)
        model.save(f"{name}.h5")
        archive.write(f"{name}.h5")
        Path(f"{name}.h5").unlink()
    np.savez_compressed("answers.npz", **answers)
    archive.write("answers.npz")
    Path("answers.npz").unlink()
