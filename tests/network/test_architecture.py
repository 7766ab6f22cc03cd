"""The value: what is taken, and what is said of what isn't."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from helpers import REPOSITORY
from mnist_lit.errors import Argument, InputError
from mnist_lit.network.architecture import Architecture, LayerSpec, current_name
from mnist_lit.network.named import NAMED
from mnist_lit.network.network import Network, describe

NOTEBOOK = (
    "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 dropout flatten dense1 sigmoid dense2 "
    "log_softmax"
)
CONV = {"Conv2d": {"out_channels": 4, "kernel_size": 3}}
END = ["Flatten", "Linear"]


def names(value: Any) -> str:
    return " ".join(name for name, _ in Network(network=value).named_children())


def test_names() -> None:
    assert names("notebook") == NOTEBOOK
    value = [{"ZeroPad2d": 1}, CONV, "ReLU6", {"AvgPool2d": 2}, CONV, "ReLU", "AdaptiveMaxPool2d"]
    value += ["Dropout2d", "Flatten", "BatchNorm1d", "Tanh", "Dropout", {"Linear": 5}, "Tanh"]
    value += ["LeakyReLU", "Linear", "LogSoftmax"]
    assert names(value) == (
        "pad1 conv1 relu1 pool1 conv2 relu2 pool2 dropout1 flatten norm1 tanh1 dropout2 dense1 "
        "tanh2 leaky_relu dense2 log_softmax"
    )


@pytest.mark.parametrize(
    "value",
    [
        [CONV, "ReLU", *END],
        (CONV, "ReLU", *END),
        [{"Conv2d": {"kernel_size": [3, 3], "out_channels": 4}}, {"ReLU": None}, *END],
        [CONV, {"ReLU": {}}, "Flatten", {"Linear": None}],
        [CONV, "ReLU", *END, "LogSoftmax"],
        [CONV, "ReLU", *END, "Softmax"],
        [CONV, "ReLU", *END, {"Softmax": {"dim": 1}}],
        {"layers": [CONV, "ReLU", *END]},
        {"init": "keras", "layers": [CONV, "ReLU", *END]},
    ],
)
def test_ways_to_write_the_same_network(value: Any) -> None:
    found = Architecture.of(value)
    assert found == Architecture.of([CONV, "ReLU", *END])
    assert found.plain() == {"init": "keras", "layers": [CONV, "ReLU", *END]}
    assert yaml.safe_load(yaml.safe_dump(found.plain())) == found.plain()


def test_a_file_is_what_it_holds() -> None:
    Path("my.yaml").write_text("- Conv2d: {out_channels: 4, kernel_size: 3}\n- Flatten\n- Linear\n")
    assert Architecture.of("my.yaml") == Architecture.of([CONV, *END])
    assert Architecture.of(Path("my.yaml")) == Architecture.of([CONV, *END])


def test_numbers_that_yaml_reads_as_text() -> None:
    Path("my.yaml").write_text("- BatchNorm2d: {eps: 1e-3}\n- LeakyReLU: 1e-2\n- Flatten\n- Linear")
    norm, leaky = Architecture.of("my.yaml").layers[:2]
    assert norm.arguments == {"eps": 0.001}
    assert leaky.arguments == {"negative_slope": 0.01}


def test_a_value_cannot_change() -> None:
    found = Architecture.of("small")
    with pytest.raises(AttributeError):
        found.init = "keras"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.layers[0].arguments["bias"] = True  # type: ignore[index]
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
    given = {"p": 0.1}
    spec = LayerSpec("Dropout", given)
    given["p"] = 0.2
    assert spec.arguments == {"p": 0.1}


@pytest.mark.parametrize("name", NAMED)
def test_dropout_of_a_named_network(name: str) -> None:
    found = Architecture.of(name, dropout=0)
    rates = [spec.arguments["p"] for spec in found.layers if spec.kind == "Dropout"]
    assert rates == [0]
    assert Architecture.of(name).plain() != found.plain()
    assert Network(network=name, dropout=0.4).get_submodule("dropout").p == 0.4


@pytest.mark.parametrize("value", [[{"Dropout": 0.1}, *END], "my.yaml"])
def test_dropout_of_a_list_is_refused(value: Any) -> None:
    Path("my.yaml").write_text("[Flatten, Linear]")
    with pytest.raises(InputError) as error:
        Architecture.of(value, dropout=0.1)
    assert error.value.subject == Argument("dropout", 0.1)


@pytest.mark.parametrize("rate", [-0.1, 1, float("nan")])
def test_dropout_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(InputError) as error:
        Architecture.of("notebook", dropout=rate)
    assert error.value.subject == Argument("dropout", rate)


def test_older_names() -> None:
    assert current_name("network.dense.weight") == "network.dense1.weight"
    assert current_name("dense.bias") == "dense1.bias"
    for name in Network(network="small").state_dict() | Network().state_dict():
        assert current_name(name) == name


def big(**more: Any) -> dict[str, Any]:
    return {"Conv2d": {"out_channels": 4, "kernel_size": 3} | more}


POOL = {"MaxPool2d": 2}
# The list; the layer's subject; words of the problem; words of the remedy.
REFUSED: list[tuple[Any, str, str, str]] = [
    ([CONV, POOL, POOL, "Linear"], "layer 4, Linear:", "its input is 4×6×6", "put Flatten before"),
    (["Conv2D"], "layer 1:", "no layer 'Conv2D'", "did you mean Conv2d?"),
    (["Relu", *END], "layer 1:", "no layer 'Relu'", "did you mean ReLU?"),
    ([CONV, "os.system"], "layer 2:", "no layer 'os.system'", ""),
    ([{"xyzzy": 1}], "layer 1:", "no layer 'xyzzy'", "give one of Conv2d, "),
    ([{3: 1}], "layer 1:", "no layer 3", ""),
    (["Conv3d", *END], "layer 1:", "no layer", "did you mean Conv2d?"),
    ([big(kernal=1)], "layer 1, Conv2d:", "no argument 'kernal'", "did you mean kernel_size?"),
    ([big(padding_mode="zeros")], "layer 1, Conv2d:", "'padding_mode'", "padding"),
    ([{"MaxPool2d": {"kernel_size": 2, "dilation": 2}}], "layer 1, MaxPool2d:", "'dilation'", ""),
    ([big(in_channels=1)], "layer 1, Conv2d:", "in_channels follows", "leave it out"),
    ([{"BatchNorm2d": 4}], "layer 1, BatchNorm2d:", "num_features follows", "leave it out"),
    ([{"ReLU": 2}], "layer 1, ReLU:", "given 2", "no arguments"),
    ([{"ReLU": {"inplace": True}}], "layer 1, ReLU:", "'inplace'", "none"),
    ([{"Conv2d": 8}], "layer 1, Conv2d:", "no kernel_size", "whole number"),
    (["Conv2d"], "layer 1, Conv2d:", "no out_channels", "whole number"),
    (["MaxPool2d"], "layer 1, MaxPool2d:", "no kernel_size", "whole number"),
    ([big(kernel_size=-3)], "layer 1, Conv2d:", "kernel_size is -3", "from 1"),
    ([big(kernel_size=0)], "layer 1, Conv2d:", "kernel_size is 0", "from 1"),
    ([big(kernel_size=[3, 3, 3])], "layer 1, Conv2d:", "kernel_size is [3, 3, 3]", "list of 2"),
    ([big(kernel_size="3")], "layer 1, Conv2d:", "kernel_size is '3'", "whole number"),
    ([big(kernel_size=3.0)], "layer 1, Conv2d:", "kernel_size is 3.0", "whole number"),
    ([big(kernel_size=True)], "layer 1, Conv2d:", "kernel_size is True", "whole number"),
    ([big(padding="same")], "layer 1, Conv2d:", "padding is 'same'", "whole number"),
    ([big(padding=-1)], "layer 1, Conv2d:", "padding is -1", "from 0"),
    ([big(bias=1)], "layer 1, Conv2d:", "bias is 1", "true or false"),
    ([big(out_channels=10**9)], "layer 1, Conv2d:", "out_channels is 1000000000", "100,000"),
    ([big(groups=3)], "layer 1, Conv2d:", "1×28×28, and 3 groups", "divide"),
    ([CONV, big(groups=3, out_channels=6)], "layer 2, Conv2d:", "4×26×26, and 3 groups", "divide"),
    ([CONV, big(groups=4, out_channels=6)], "layer 2, Conv2d:", "4×26×26, and 4 groups", "divide"),
    ([{"Dropout": 1}], "layer 1, Dropout:", "p is 1", "below 1"),
    ([{"Dropout": float("nan")}], "layer 1, Dropout:", "p is nan", "below 1"),
    ([{"LeakyReLU": float("inf")}], "layer 1, LeakyReLU:", "negative_slope is inf", "a number"),
    ([{"BatchNorm2d": {"momentum": 2}}], "layer 1, BatchNorm2d:", "momentum is 2", "from 0 to 1"),
    ([{"GELU": "exact"}], "layer 1, GELU:", "approximate is 'exact'", "none or tanh"),
    ([{"AdaptiveAvgPool2d": 7}], "layer 1, AdaptiveAvgPool2d:", "output_size is 7", "give 1"),
    ([{"ZeroPad2d": [1, 2]}], "layer 1, ZeroPad2d:", "padding is [1, 2]", "list of 4"),
    ([{"PReLU": 3}, *END], "layer 1, PReLU:", "its input is 1×28×28", "num_parameters 1"),
    ([big(kernel_size=29), *END], "layer 1, Conv2d:", "1×28×28, smaller than", "kernel_size"),
    (
        [big(kernel_size=28, stride=[1, 2]), *END],
        "layer 1, Conv2d:",
        "wrong answers",
        "same stride",
    ),
    (
        [
            big(kernel_size=[3, 28]),
            big(kernel_size=[3, 1], stride=2, padding=1),
            *END,
        ],
        "layer 2, Conv2d:",
        "wrong answers",
        "same stride",
    ),
    ([big(dilation=14), *END], "layer 1, Conv2d:", "with its dilation", "kernel_size"),
    ([CONV, *[POOL] * 5, *END], "layer 6, MaxPool2d:", "4×1×1, smaller", "remove a pool before it"),
    ([{"AvgPool2d": 30}, *END], "layer 1, AvgPool2d:", "1×28×28, smaller", "kernel_size"),
    (
        [{"MaxPool2d": {"kernel_size": 3, "padding": 2}}],
        "layer 1, MaxPool2d:",
        "more than half",
        "smaller padding",
    ),
    (["Flatten", CONV, *END], "layer 2, Conv2d:", "its input is 784", "before Flatten"),
    (["Flatten", POOL, *END], "layer 2, MaxPool2d:", "its input is 784", "before Flatten"),
    (["Flatten", "BatchNorm2d"], "layer 2, BatchNorm2d:", "is 784", "use BatchNorm1d"),
    ([CONV, "BatchNorm1d"], "layer 2, BatchNorm1d:", "is 4×26×26", "use BatchNorm2d"),
    (["Flatten", "Dropout2d"], "layer 2, Dropout2d:", "is 784", "use Dropout"),
    (["Flatten", "Softmax", "Linear"], "layer 2, Softmax:", "only be the last", "leave it out"),
    ([*END, "LogSoftmax", "Softmax"], "layer 3, LogSoftmax:", "only be the last", "leave it out"),
    ([*END, {"Softmax": 2}], "layer 3, Softmax:", "given 2", "no arguments"),
    (["Flatten", "Linear", "Linear"], "layer 3, Linear:", "no number", "give layer 2 its number"),
    (["Flatten", {"Linear": 64}], "layer 2, Linear:", "ends with 64", "end with Linear"),
    ([CONV, "ReLU"], "layer 2, ReLU:", "ends with 4×26×26", "end with Flatten and Linear"),
    (
        [big(out_channels=10), "AdaptiveAvgPool2d"],
        "layer 2, AdaptiveAvgPool2d:",
        "ends with 10×1×1",
        "end with Flatten",
    ),
    (
        [{"AvgPool2d": {"kernel_size": [14, 5]}}, "Flatten"],
        "layer 2, Flatten:",
        "no weights",
        "end with Linear",
    ),
    ([{"Conv2d": {}, "kernel_size": 3}], "layer 1:", "it is {'Conv2d'", "write such as"),
    ([["ReLU"]], "layer 1:", "it is ['ReLU']", "write such as"),
    ([None], "layer 1:", "it is None", "write such as"),
    ([7], "layer 1:", "it is 7", "write such as"),
    ([big(out_channels=50_000), *END], "layer 1, Conv2d:", "33,800,000 numbers", "fewer channels"),
]


@pytest.mark.parametrize("value, subject, problem, remedy", REFUSED)
def test_a_mistake_names_the_layer(value: Any, subject: str, problem: str, remedy: str) -> None:
    with pytest.raises(InputError) as error:
        describe(Architecture.of(value), 10, 28)
    assert error.value.subject == subject
    assert problem in str(error.value.problem)
    assert remedy in str(error.value.remedy)
    assert "\n" not in str(error.value)


def test_the_line() -> None:
    with pytest.raises(InputError) as error:
        Network(network=[CONV, POOL, "ReLU", "Linear"])
    assert str(error.value) == "layer 4, Linear: its input is 4×13×13: put Flatten before it"


@pytest.mark.parametrize(
    "value, problem, remedy",
    [
        ([], "has no layers", "Flatten and Linear"),
        (["LogSoftmax"], "has no layers", "Flatten and Linear"),
        (None, "is None", "a list of layers"),
        (7, "is 7", "a list of layers"),
        ({}, "has the keys {}", "`layers`"),
        ({"layers": "ReLU"}, "is 'ReLU'", "a list of layers"),
        ({"layers": END, "inits": "keras"}, "has the keys 'layers', 'inits'", "`layers`"),
        ({"layers": END, "init": "he"}, "has init 'he'", "keras or torch"),
        ({"layers": END, "init": []}, "has init []", "keras or torch"),
        ({"model": {"network": END}, "data": {}}, "is a config", "`network` list alone"),
        ({"network": END}, "is a config", "`network` list alone"),
        (["ReLU"] * 501, "has 501 layers", "at most 500"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_mistake_outside_the_layers(value: Any, problem: str, remedy: str, in_file: bool) -> None:
    if in_file:
        Path("my.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    with pytest.raises(InputError) as error:
        Architecture.of("my.yaml" if in_file else value)
    assert error.value.subject == (Path("my.yaml") if in_file else Argument("network"))
    assert problem in str(error.value.problem)
    assert remedy in str(error.value.remedy)


@pytest.mark.parametrize("value", ["smal", "resnet50", "a\nb", "x" * 5000, "\0", "", "."])
def test_a_name_that_is_not_known(value: str) -> None:
    with pytest.raises(InputError) as error:
        Architecture.of(value)
    assert "notebook, small" in str(error.value.remedy)


@pytest.mark.parametrize("name", ["my.yaml", "x" * 5000 + ".yaml", "\0.yaml"])
def test_a_file_that_is_not_there(name: str) -> None:
    with pytest.raises(InputError) as error:
        Architecture.of(name)
    assert error.value.subject == Path(name)


def test_parameters_are_counted_before_they_are_made() -> None:
    wide = ["Flatten", {"Linear": 60_000}, {"Linear": 60_000}, "Linear"]
    with pytest.raises(InputError) as error:
        Network(network=wide)
    assert error.value.subject == "layer 3, Linear:"
    assert Argument("large", True) in list(error.value.remedy)  # type: ignore[arg-type]
    found = describe(Architecture.of(wide), 10, 28, large=True)  # 14 GB, of which none is made
    assert found[2].parameters == 60_000 * 60_001


def test_large_allows_more_parameters() -> None:
    value = ["Flatten", {"Linear": 70_000}, "Linear"]
    with pytest.raises(InputError):
        Network(network=value)
    with torch.device("meta"):
        network = Network(network=value, large=True)
    assert sum(part.numel() for part in network.parameters()) > 50_000_000


@pytest.mark.parametrize(
    "name, value", [("num_classes", 1), ("image_size", 7), ("image_size", 257)]
)
def test_numbers_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        Network(**{name: value})
    assert error.value.subject == Argument(name, value)


def test_a_convolution_may_take_the_last_layer_s_place() -> None:
    value = [
        CONV,
        {"Conv2d": {"out_channels": 10, "kernel_size": 1}},
        "AdaptiveAvgPool2d",
        "Flatten",
    ]
    assert Network(network=value)(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


PARAMETERS = {
    "lenet5": 61_706,
    "keras_example": 34_826,
    "tiny": 9_642,
    "deep": 93_554,
    "wide": 431_882,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_networks_in_configs(name: str) -> None:
    path = REPOSITORY / f"configs/networks/{name}.yaml"
    network = Network(network=path)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS[name]
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert f"{count:,} parameters" in " ".join(comment)


def test_every_network_in_configs_is_tested() -> None:
    assert {path.stem for path in (REPOSITORY / "configs/networks").iterdir()} == set(PARAMETERS)


@pytest.mark.parametrize(
    "layer, meant",
    [({"Dense": 64}, "Linear"), ({"Conv2d": {"filters": 16}}, "out_channels"),
     ("BatchNormalization", "BatchNorm2d"), ({"Dropout": {"rate": 0.1}}, "p")],
)  # fmt: skip
def test_kerass_names_are_answered_by_those_here(layer: Any, meant: str) -> None:
    with pytest.raises(InputError) as error:
        Architecture.of([layer, "Flatten", "Linear"])
    assert error.value.remedy == f"did you mean {meant}?"
