"""The networks that have a name, written as anyone would write their own."""

from typing import Any

NAMED: dict[str, Any] = {
    # The notebook's: three convolutions and two dense layers; 103,786 parameters for 10 classes.
    "notebook": [
        {"Conv2d": {"out_channels": 32, "kernel_size": 4}},
        "ReLU",
        {"MaxPool2d": 2},
        {"Conv2d": {"out_channels": 64, "kernel_size": 4}},
        "ReLU",
        {"MaxPool2d": 2},
        {"Conv2d": {"out_channels": 64, "kernel_size": 4}},
        "ReLU",
        {"Dropout": 0.2},
        "Flatten",
        {"Linear": 64},
        "Sigmoid",
        "Linear",
    ],
    # A better one of no more parameters: 3×3 convolutions, each with batch norm, whose shift takes
    # the place of the bias; 84,810 parameters for 10 classes.
    "small": {
        "init": "torch",
        "layers": [
            {"Conv2d": {"out_channels": 32, "kernel_size": 3, "bias": False}},
            {"MaxPool2d": 2},
            "BatchNorm2d",
            "ReLU",
            {"Conv2d": {"out_channels": 48, "kernel_size": 3, "padding": 1, "bias": False}},
            "BatchNorm2d",
            "ReLU",
            {"Conv2d": {"out_channels": 64, "kernel_size": 3, "bias": False}},
            {"MaxPool2d": 2},
            "BatchNorm2d",
            "ReLU",
            {"Conv2d": {"out_channels": 64, "kernel_size": 3, "bias": False}},
            "BatchNorm2d",
            "ReLU",
            "Flatten",
            {"Dropout": 0.2},
            "Linear",
        ],
    },
}
