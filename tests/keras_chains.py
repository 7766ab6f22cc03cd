"""Random chains of layers, made and run by real Keras."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers
from numpy.typing import NDArray

Array = NDArray[np.float32]
ACTIVATIONS = (
    None, "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid",
    "hard_sigmoid", "softplus", "softsign",
)  # fmt: skip
FORMATS = ("h5", "keras", "functional.h5", "functional.keras")


def draw_model(data: st.DataObject) -> Any:
    """Return a model of layers that come over, with random weights and statistics.

    Not a strategy: Keras uses Python's `random`, which strategies must not.
    """
    keras.backend.clear_session()
    return _Chain(data).model()


def images(model: Any, n: int = 8, *, seed: int = 0) -> Array:
    """Return random images N×1×S×S in [0, 1] for a model."""
    side = round(np.prod(model.input_shape[1:]) ** 0.5)
    return np.random.default_rng(seed).random((n, 1, side, side), np.float32)


def answers(model: Any, pixels: Array) -> Array:
    """Return real Keras's probabilities for images N×1×S×S in the range that it was trained on."""
    found = model.predict(pixels.reshape(-1, *model.input_shape[1:]), verbose=0)
    found = found.reshape(len(pixels), -1)
    if model.layers[-1].name == "logits":
        found = np.exp(found - found.max(1, keepdims=True))
        found /= found.sum(1, keepdims=True)
    probabilities: Array = found
    return probabilities


def save(model: Any, how: str) -> Path:
    """Save a model as one of `FORMATS`."""
    if how.startswith("functional"):
        model = keras.Model(model.inputs, model.outputs)
    path = Path(f"model.{how.split('.')[-1]}")
    model.save(path)
    return path


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Give a model weights of the usual sizes, and batch norms statistics as after training."""
    for layer in model.layers:
        values = []
        for variable in layer.weights:
            shape = tuple(variable.shape)
            scale = 1 / max(np.prod(shape[:-1]), 1) ** 0.5 if len(shape) > 1 else 0.5
            value = rng.normal(0, scale, shape)
            if variable.name in ("moving_variance", "variance"):
                value = 0.2 + rng.random(shape)
            elif variable.name in ("gamma",):
                value = 0.5 + rng.random(shape)
            elif variable.name in ("mean", "count"):
                value = abs(value)
            values.append(value.astype(np.float32))
        layer.set_weights(values)


class _Chain:
    """Draws layers one after another, keeping the shape of what comes out."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.side = self.draw(st.integers(8, 40), "side")
        self.first = self.draw(st.sampled_from([False, False, False, True]), "channels first")
        self.format = "channels_first" if self.first else "channels_last"
        self.layers: list[Any] = []
        self.shape: tuple[int, ...] = ()

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def add(self, layer: Any) -> None:
        self.layers.append(layer)
        self.shape = tuple(layer.compute_output_shape((None, *self.shape))[1:])

    def model(self) -> Any:
        self._input()
        self._scaling()
        if self.flag() or self.first:
            self._as_map()
            for _ in range(self.one_of(1, 2, 3, 4, 5)):
                self._map_layer()
            self._to_vector()
        elif len(self.shape) > 1:
            self.add(layers.Flatten())
        for _ in range(self.one_of(0, 1, 2, 3)):
            self._vector_layer()
        self._end()
        model = keras.Sequential(self.layers)
        randomize(model, np.random.default_rng(self.draw(st.integers(0, 99), "seed")))
        return model

    def _input(self) -> None:
        side = self.side
        forms = [(side, side), (side, side, 1), (side * side,), (1, side, side)]
        self.shape = (1, side, side) if self.first else self.one_of(*forms)
        self.layers.append(layers.Input(self.shape))

    def _scaling(self) -> None:
        kind = self.one_of("none", "none", "scale", "offset", "normal")
        if kind == "scale":
            self.add(layers.Rescaling(2.0))
        elif kind == "offset":
            self.add(layers.Rescaling(2.0, offset=-1.0))
        elif kind == "normal" and (self.shape[-1] == 1 or self.flag()):
            axis = -1 if self.shape[-1] == 1 else None
            self.add(layers.Normalization(axis=axis, mean=0.13, variance=0.09))
        if self.one_of(False, False, True):
            self.add(layers.GaussianNoise(0.1))
        if self.one_of(False, False, False, True):
            self.add(layers.Dropout(0.1))

    def _as_map(self) -> None:
        wanted = (1, self.side, self.side) if self.first else (self.side, self.side, 1)
        if self.shape != wanted:
            self.add(layers.Reshape(wanted))

    @property
    def size(self) -> tuple[int, int]:
        return self.shape[1:] if self.first else self.shape[:2]  # type: ignore[return-value]

    @property
    def channels(self) -> int:
        return self.shape[0] if self.first else self.shape[2]

    def _fits(self, kernel: tuple[int, int], dilation: int, padding: str) -> bool:
        spans = [(k - 1) * dilation + 1 for k in kernel]
        return padding == "same" or all(s <= n for s, n in zip(spans, self.size, strict=True))

    def _kernel(self) -> tuple[int, int]:
        return (self.one_of(1, 2, 3, 4, 5), self.one_of(1, 2, 3, 4))

    def _map_layer(self) -> None:
        kind = self.one_of(
            "conv", "conv", "depthwise", "separable", "max", "average", "norm", "zeros",
            "activation", "prelu", "dropout", "dense",
        )  # fmt: skip
        kernel, padding = self._kernel(), self.one_of("valid", "same")
        stride, dilation = self.one_of((1, 1), (2, 2), (3, 3), (2, 1)), self.one_of(1, 1, 2)
        if dilation > 1:
            stride = (1, 1)
        if not self._fits(kernel, dilation, padding):
            kernel = (1, 1)
        shared = {"padding": padding, "data_format": self.format}
        window = {"strides": stride, "dilation_rate": dilation, "use_bias": self.flag(), **shared}
        window["activation"] = self.one_of(*ACTIVATIONS)
        if kind == "conv":
            groups = self.one_of(*(g for g in (1, 2, 3) if self.channels % g == 0))
            self.add(layers.Conv2D(6, kernel, groups=groups, **window))
        elif kind == "depthwise":
            window["strides"] = stride[0]
            self.add(layers.DepthwiseConv2D(kernel, depth_multiplier=self.one_of(1, 2), **window))
        elif kind == "separable":
            window["strides"] = stride[0]
            multiplier = self.one_of(1, 2)
            self.add(layers.SeparableConv2D(5, kernel, depth_multiplier=multiplier, **window))
        elif kind in ("max", "average"):
            self._pool(kind, kernel, shared)
        else:
            self._plain_map_layer(kind)

    def _pool(self, kind: str, kernel: tuple[int, int], shared: dict[str, str]) -> None:
        if not self._fits(kernel, 1, shared["padding"]):
            kernel = (1, 1)
        if kind == "average" and shared["padding"] == "same":
            # In larger windows Keras on PyTorch counts the border twice, and TensorFlow does not;
            # TensorFlow's own numbers are in test_tensorflow.py.
            kernel = (min(kernel[0], 2), min(kernel[1], 2))
        strides = [None, 2, (2, 3)]
        if shared["padding"] == "valid" or all(side % 2 for side in kernel):
            strides.append(1)  # a `same` pool of even width and stride 1 does not come over
        pool = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
        self.add(pool(kernel, strides=self.one_of(*strides), **shared))

    def _plain_map_layer(self, kind: str) -> None:
        axes = [2, 3] if self.first else [1, 2]
        if kind == "norm":
            self.add(self._norm(1 if self.first else self.one_of(-1, 3)))
        elif kind == "zeros":
            padding = self.one_of(1, (2, 1), ((0, 1), (2, 0)))
            self.add(layers.ZeroPadding2D(padding, data_format=self.format))
        elif kind == "activation":
            self.add(self._activation())
        elif kind == "prelu":
            self.add(layers.PReLU(shared_axes=self.one_of(axes, [1, 2, 3])))
        elif kind == "dropout":
            spatial = layers.SpatialDropout2D(0.2, data_format=self.format)
            self.add(self.one_of(spatial, layers.Dropout(0.3)))
        elif kind == "dense" and not self.first:
            self.add(layers.Dense(4, activation=self.one_of(*ACTIVATIONS)))

    def _norm(self, axis: int) -> Any:
        options = {"scale": self.flag(), "center": self.flag(), "axis": axis}
        return layers.BatchNormalization(
            epsilon=self.one_of(1e-3, 1e-5), momentum=self.one_of(0.99, 0.9), **options
        )

    def _activation(self) -> Any:
        return self.one_of(
            layers.Activation(self.one_of(*ACTIVATIONS[1:])),
            layers.ReLU(),
            layers.ReLU(max_value=6),
            layers.LeakyReLU(negative_slope=self.one_of(0.1, 0.3)),
            layers.ELU(alpha=self.one_of(1.0, 0.5)),
        )

    def _to_vector(self) -> None:
        how = self.one_of("flatten", "flatten", "reshape", "average", "max", "keep")
        options = {"data_format": self.format}
        if how in ("average", "max", "keep"):
            kind = layers.GlobalMaxPooling2D if how == "max" else layers.GlobalAveragePooling2D
            self.add(kind(keepdims=how == "keep", **options))
        if how == "reshape":
            self.add(layers.Reshape((-1,)))
        elif how in ("flatten", "keep"):
            self.add(layers.Flatten(**(options if self.flag() else {})))

    def _vector_layer(self) -> None:
        kind = self.one_of("dense", "dense", "norm", "activation", "prelu", "dropout", "noise")
        if kind == "dense":
            units, activation = self.one_of(3, 7, 16), self.one_of(*ACTIVATIONS)
            self.add(layers.Dense(units, activation=activation, use_bias=self.flag()))
        elif kind == "norm":
            self.add(self._norm(self.one_of(-1, 1)))
        elif kind == "activation":
            self.add(self._activation())
        elif kind == "prelu":
            self.add(layers.PReLU(shared_axes=self.one_of(None, [1])))
        elif kind == "dropout":
            self.add(layers.Dropout(0.5))
        else:
            self.add(layers.GaussianDropout(0.1))

    def _end(self) -> None:
        classes, how = self.one_of(2, 10, 26), self.one_of("softmax", "softmax", "layer", "logits")
        if how == "softmax":
            self.add(layers.Dense(classes, activation="softmax"))
        elif how == "layer":
            self.add(layers.Dense(classes))
            self.add(self.one_of(layers.Softmax(), layers.Activation("softmax")))
        else:
            self.add(layers.Dense(classes, name="logits"))
