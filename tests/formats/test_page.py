"""The page as a file: written and read back bit for bit, damaged, too large."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from helpers import REPOSITORY
from mnist_lit import Network
from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.errors import InputError
from mnist_lit.formats import page as html
from networks import networks, randomise
from pages import FILE, Opened, pretrained, write

SQUARE = {"kernel_size": 3, "padding": 1}


def assert_reads_back(network: Network) -> None:
    write(network)
    again = html.read(FILE)
    assert again.architecture == network.architecture
    assert again.image_size == network.image_size and not again.training
    state = again.state_dict()
    assert state.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_reads_back_bitwise(network: Network) -> None:
    assert_reads_back(network)


def test_batch_norms_counts_are_read_back() -> None:
    network = Network(7, network="small")
    randomise(network, 123)
    assert int(network.state_dict()["norm1.num_batches_tracked"]) == 123
    assert_reads_back(network)


def test_weights_of_a_wrong_length(opened: Opened) -> None:
    write(pretrained())
    page_text = FILE.read_text("utf-8")
    start = page_text.index('octet-stream">') + len('octet-stream">')
    for changed in ("AAAA" * 4 + page_text[start:], page_text[start + 400 :]):
        FILE.write_text(page_text[:start] + changed, "utf-8")
        with pytest.raises(InputError) as caught:
            html.read(FILE)
        assert caught.value.subject == FILE
        assert "weights, not 103,786" in str(caught.value.problem)
        assert caught.value.remedy == "export it again"
    page = opened()
    assert "This page is damaged: its weights have" in page.inner_text("#error")
    assert page.inner_text("#answer") == ""


def test_another_file() -> None:
    write(Network())
    page = FILE.read_text("utf-8")
    for text in (
        "",
        "<p>hello</p>",
        page.replace('"image_size": 28', '"image_size": "a"'),
        page.replace('"image_size": 28', '"image_size": 28}'),
        page.replace('"init": "keras"', '"init": 3'),
        page.replace('"class_names"', '"names"'),
        page.replace('"MaxPool2d": 2', '"AvgPool2d": {"kernel_size": 90}'),
        page.replace('octet-stream">', 'octet-stream">A', 1),
    ):
        assert text != page
        FILE.write_text(text, "utf-8")
        with pytest.raises(InputError) as caught:
            html.read(FILE)
        assert caught.value.subject == FILE


@pytest.mark.parametrize(
    "layers, size, problem",
    [
        (["Flatten", {"Linear": 11_000}, "Linear"], 28, "has 8,745,010 parameters"),
        (
            [
                {"Conv2d": {"out_channels": 64, "kernel_size": 1}},
                {"Conv2d": {"out_channels": 64} | SQUARE},
                {"AdaptiveAvgPool2d": 1},
                "Flatten",
                "Linear",
            ],
            256,
            "takes 2,420,114,",
        ),
    ],
)
def test_too_large_for_a_browser(layers: list[object], size: int, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        write(Network(network=layers, image_size=size))
    assert problem in str(caught.value.problem)
    assert "safetensors" in str(caught.value.remedy)
    assert not FILE.exists()


def test_no_network_access_is_allowed() -> None:
    write(Network())
    text = FILE.read_text("utf-8")
    (policy,) = (line for line in text.splitlines() if "Content-Security-Policy" in line)
    assert "default-src 'none'" in policy and "connect-src" not in policy
    assert "http:" not in text and "https:" not in text
    assert FILE.stat().st_size < 1_000_000


def test_kept_page_is_todays() -> None:
    checkpoint = checkpoints.read("pretrained")
    html.write(FILE, checkpoint, checkpoint.build())
    kept = REPOSITORY / "docs" / "draw.html"
    assert kept.read_bytes() == FILE.read_bytes(), "make page writes it again"
