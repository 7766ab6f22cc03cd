"""The notebook's own lines, on Keras 3 and TensorFlow."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from keras import layers, models

import worker

raw = worker.DATA_DIR / "MNIST" / "raw"


def load(prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.fromfile(raw / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(raw / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)
    return images.reshape(-1, 28, 28, 1) / np.float32(255), labels


train_images, train_labels = load("train")
test_images, test_labels = load("t10k")

model = models.Sequential()
model.add(layers.Input((28, 28, 1)))
model.add(layers.Conv2D(32, (4, 4), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (4, 4), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (4, 4), activation="relu"))
model.add(layers.Dropout(0.2))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation="sigmoid"))
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

worker.race(
    lambda: model.fit(train_images[: worker.IMAGES], train_labels[: worker.IMAGES], epochs=1),
    lambda: model.evaluate(test_images, test_labels)[1],
)
