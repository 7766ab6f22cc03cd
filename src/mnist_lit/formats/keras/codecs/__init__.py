"""The table of codecs: each layer of Keras's that comes over or is written, both ways.

A reader takes a layer's configuration whole and adds its like to the network. A writer returns the
layer of Keras's that is a layer of the network, or says why there is none.
"""

from mnist_lit.formats.keras.codecs.activations import (
    WRITTEN,
    activation_reader,
    read_prelu,
    write_activation,
    write_elu,
    write_leaky_relu,
    write_prelu,
    write_relu,
)
from mnist_lit.formats.keras.codecs.codec import Codec, Writer, Written
from mnist_lit.formats.keras.codecs.convolutions import (
    read_conv,
    read_depthwise,
    read_separable,
    read_zeros,
    write_conv,
    write_zeros,
)
from mnist_lit.formats.keras.codecs.dense import read_dense, read_flatten, read_reshape, write_dense
from mnist_lit.formats.keras.codecs.norm import read_norm, write_norm
from mnist_lit.formats.keras.codecs.pixels import read_normalization, read_rescaling
from mnist_lit.formats.keras.codecs.pools import (
    global_pool_reader,
    pool_reader,
    write_global_pool,
    write_pool,
)
from mnist_lit.formats.keras.codecs.training import dropout_reader, leave_out, write_dropout

CODECS: dict[str, Codec] = {
    "Conv2D": Codec(read_conv, ("Conv2d",), write_conv),
    "DepthwiseConv2D": Codec(read_depthwise),  # write_conv writes it for as many groups
    "SeparableConv2D": Codec(read_separable),
    "ZeroPadding2D": Codec(read_zeros, ("ZeroPad2d",), write_zeros),
    "MaxPooling2D": Codec(pool_reader("MaxPool2d"), ("MaxPool2d",), write_pool),
    "AveragePooling2D": Codec(pool_reader("AvgPool2d"), ("AvgPool2d",), write_pool),
    "GlobalAveragePooling2D": Codec(
        global_pool_reader("AdaptiveAvgPool2d"), ("AdaptiveAvgPool2d",), write_global_pool
    ),
    "GlobalMaxPooling2D": Codec(
        global_pool_reader("AdaptiveMaxPool2d"), ("AdaptiveMaxPool2d",), write_global_pool
    ),
    "Flatten": Codec(
        read_flatten,
        ("Flatten",),
        lambda out: [Written("Flatten", {"data_format": "channels_last"}, {})],
    ),
    "Reshape": Codec(read_reshape),
    "Dense": Codec(read_dense, ("Linear",), write_dense),
    "BatchNormalization": Codec(read_norm, ("BatchNorm1d", "BatchNorm2d"), write_norm),
    "Activation": Codec(
        activation_reader("Activation"),
        tuple(kind for kind in WRITTEN if kind not in ("ELU", "LogSoftmax")),
        write_activation,
    ),
    "ReLU": Codec(activation_reader("ReLU"), ("ReLU6",), write_relu),
    "LeakyReLU": Codec(activation_reader("LeakyReLU"), ("LeakyReLU",), write_leaky_relu),
    "PReLU": Codec(read_prelu, ("PReLU",), write_prelu),
    "ELU": Codec(activation_reader("ELU"), ("ELU",), write_elu),
    "Softmax": Codec(
        activation_reader("Softmax"),
        ("LogSoftmax",),
        lambda out: [Written("Softmax", {"axis": -1}, {})],
    ),
    "Dropout": Codec(dropout_reader("Dropout"), ("Dropout",), write_dropout),
    "SpatialDropout2D": Codec(dropout_reader("Dropout2d"), ("Dropout2d",), write_dropout),
    "Rescaling": Codec(read_rescaling),
    "Normalization": Codec(read_normalization),
}
# Augmentation and noise: outside of training they give their input back.
LEFT_OUT = (
    "ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise", "AugMix",
    "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomContrast",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHeight", "RandomInvert", "RandomPerspective", "RandomPosterization",
    "RandomRotation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth",
    "RandomZoom",
)  # fmt: skip
# What TensorFlow 1 called it.
CODECS |= {f"BatchNormalizationV{i}": CODECS["BatchNormalization"] for i in (1, 2)}
CODECS |= {kind: Codec(leave_out) for kind in LEFT_OUT}
# Why others don't come over, where more can be said than that they don't.
REASONS = {
    "Lambda": "holds code, which is not executed",
    "Cropping2D": "cuts the map, and no layer of the network does",
    "ThresholdedReLU": "is no activation of torch.nn",
    "RandomCrop": "cuts the picture outside of training too",
    "Conv1D": "convolves rows, not pictures",
} | {
    kind: "joins branches: only one chain comes over"
    for kind in (
        "Add",
        "Average",
        "Concatenate",
        "Dot",
        "Maximum",
        "Minimum",
        "Multiply",
        "Subtract",
    )
}
# By the layer of torch.nn that is written.
WRITERS: dict[str, Writer] = {
    kind: codec.write for codec in CODECS.values() if codec.write for kind in codec.writes
}
