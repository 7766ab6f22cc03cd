"""Write the files that tests read as tf-keras 2's: `python make.py`, with tf-keras 2.21 installed.

The notebook's lines, on random images; weights are rounded so that the archive stays small.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

keras: Any = tf_keras
rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)
model = keras.models.Sequential()
layers = keras.layers
model.add(layers.Conv2D(32, (4, 4), activation="relu", input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (4, 4), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (4, 4), activation="relu"))
model.add(layers.Dropout(0.2))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation="sigmoid"))
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
images = rng.random((20, 28, 28, 1), np.float32)
model.fit(images, rng.integers(0, 10, 20), epochs=1, verbose=0)
model.set_weights([(w * 64).round() / 64 for w in model.get_weights()])
for variable in model.optimizer.variables:
    if variable.shape.rank:
        variable.assign(variable * 0)

model.save("model.h5")
model.save_weights("weights.h5")
model.save("model.keras")
answers = model.predict(images, verbose=0)
np.savez_compressed("answers.npz", images=images, probabilities=answers)
names = ("model.h5", "weights.h5", "model.keras", "answers.npz")
with zipfile.ZipFile("model.zip", "w", zipfile.ZIP_LZMA) as archive:
    for name in names:
        if name.endswith(".keras"):  # its members are stored, so they compress once taken apart
            with zipfile.ZipFile(name) as inner:
                for part in inner.namelist():
                    archive.writestr(f"{name}/{part}", inner.read(part))
        else:
            archive.write(name)
        Path(name).unlink()
