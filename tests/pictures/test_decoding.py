"""Picture files of every kind, whole, damaged and malicious, as grey values."""

import io
import resource
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import small_data
from mnist_lit.errors import InputError
from mnist_lit.pictures import preprocessing as pictures
from mnist_lit.pictures.constants import WORKING_SIDE
from mnist_lit.pictures.decoding import FORMATS, KINDS, MAX_PIXELS, decode
from mnist_lit.pictures.ink import light_on_dark


def saved(page: Image.Image, kind: str) -> str:
    """Save one picture in another colour mode or format."""
    black = Image.new("L", page.size, 0)
    ink = Image.fromarray(255 - np.asarray(page))
    if kind == "transparent":
        Image.merge("LA", (black, ink)).save("digit.png")
    elif kind == "white-on-transparent":
        Image.merge("LA", (Image.new("L", page.size, 255), ink)).save("digit.png")
    elif kind == "palette":
        page.convert("P").save("digit.png")
    elif kind == "16-bit":
        deep = np.asarray(page, np.uint16) * 257
        Image.fromarray(deep).save("digit.png")
    elif kind == "float":
        Image.fromarray(np.asarray(page, np.float32) / 255).save("digit.tiff")
    elif kind == "cmyk":
        page.convert("CMYK").save("digit.jpg", quality=95)
        return "digit.jpg"
    elif kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright: turn by 90° to the right
        page.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(
            "digit.jpg", exif=exif, quality=95
        )
        return "digit.jpg"
    else:
        if kind == "heic":
            pillow_heif.register_heif_opener()
        suffix = {"rgb": "png"}.get(kind, kind)
        page.convert("RGB").save(f"digit.{suffix}", lossless=kind == "webp", quality=95)
        return f"digit.{suffix}"
    return "digit.tiff" if kind == "float" else "digit.png"


@pytest.mark.parametrize(
    "kind",
    [
        "rgb",
        "bmp",
        "webp",
        "avif",
        "heic",
        "tiff",
        "transparent",
        "white-on-transparent",
        "palette",
        "16-bit",
        "float",
        "cmyk",
        "rotated",
    ],
)
def test_modes_and_formats(kind: str) -> None:
    page = small_data.drawn(small_data.digits(4, 10)[0][3], np.random.default_rng(2))
    page.save("plain.png")
    paths = (Path("plain.png"), Path(saved(page, kind)))
    plain, other = (light_on_dark(decode(path)[0])[0] for path in paths)
    difference = abs(plain - other)
    assert difference.mean() < 2 and difference.max() <= (
        40 if kind in ("cmyk", "rotated", "palette", "avif", "heic") else 1
    )


@pytest.mark.parametrize(
    "ink, paper",
    [((0, 0, 255), (97, 0, 0)), ((180, 40, 40), (40, 96, 90)), ((10, 130, 10), (200, 20, 60))],
)
def test_ink_and_paper_of_equal_grey(
    ink: tuple[int, int, int], paper: tuple[int, int, int]
) -> None:
    own, ground = (
        Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) for colour in (ink, paper)
    )
    assert abs(own - ground) <= 12  # type: ignore[operator]
    page = Image.new("RGB", (120, 90), paper)
    page.paste(ink, (50, 20, 58, 70))
    page.save("page.png")
    found = pictures.read("page.png")
    assert found.note == "" and (found.image > 127).sum() in range(50, 80)


def test_large_pictures_are_reduced() -> None:
    page = np.zeros((1500, 900), np.uint8)
    page[:750] = 200
    Image.fromarray(page).save("page.png")
    grey, size = decode(Path("page.png"))
    assert size == (900, 1500)
    assert grey.shape == (WORKING_SIDE, round(900 * WORKING_SIDE / 1500))
    assert grey.dtype == np.float32
    assert np.all(grey[:250] == 200) and np.all(grey[-250:] == 0)


def test_heic_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 20)).save("digit.heic", "PNG")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError) as caught:
        decode(Path("digit.heic"))
    assert "mnist-lit[heic]" in str(caught.value)


def test_only_known_formats_are_decoded() -> None:
    Image.new("L", (20, 20)).save("digit.png", "PCX")  # Pillow itself would read it
    with pytest.raises(InputError) as caught:
        decode(Path("digit.png"))
    assert caught.value.problem.startswith("is not a whole PNG")  # type: ignore[union-attr]
    assert "PCX" not in FORMATS


def png(width: int, height: int) -> bytes:
    """A PNG of black pixels, whose size is what its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    row = zlib.compressobj(9)
    body = b"".join(row.compress(bytes(1 + width)) for _ in range(height)) + row.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 20_000])
def test_too_large(side: int) -> None:
    Path("bomb.png").write_bytes(png(side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        decode(Path("bomb.png"))
    assert caught.value.subject == Path("bomb.png")
    assert caught.value.problem == f"has more than {MAX_PIXELS // 10**6} million pixels"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def problem(path: str) -> object:
    with pytest.raises(InputError) as caught:
        decode(Path(path))
    assert caught.value.subject == Path(path) and caught.value.remedy
    return caught.value.problem


def test_missing_and_foreign() -> None:
    Path("text.png").write_text("no picture")
    Path("empty.png").write_bytes(b"")
    Path("folder.png").mkdir()
    assert problem("none.png") == "is not there"
    assert problem("folder.png") == "is a folder without pictures"
    assert problem("text.png") == problem("empty.png")
    assert problem("text.png") == f"is not a whole {KINDS} picture"


def encoded(suffix: str) -> bytes:
    page = Image.new("RGB", (40, 30), "white")
    page.paste("black", (10, 5, 20, 25))
    content = io.BytesIO()
    page.save(content, suffix)
    return content.getvalue()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["png", "jpeg", "bmp", "webp", "tiff"]))
def test_damaged(data: st.DataObject, kind: str) -> None:
    """Whatever is wrong with a file, it is read or refused in one line."""
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(content), 200) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    path = Path("damaged.bin")
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(record=True) as said:
            grey, _ = decode(path)
    except InputError as error:
        assert error.subject == path and error.problem and error.remedy
        assert "\n" not in str(error)
    else:
        assert grey.dtype == np.float32 and max(grey.shape) <= WORKING_SIDE
        assert np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 255
    assert not said
