"""How often are digits read right in pictures with boxes, shadows, thin strokes and other trouble?

python benchmarks/pictures.py [--data_dir DIR] [--count 500] [--kinds frame border]
python benchmarks/pictures.py [--data_dir DIR] --ckpt_path pretrained other.ckpt
python benchmarks/pictures.py [--data_dir DIR] --sheets 20
python benchmarks/pictures.py [--data_dir DIR] --turning [--ckpt_path pretrained other.ckpt]
python benchmarks/pictures.py [--data_dir DIR] --draw docs/images/pictures.png

Digits of MNIST's test set are drawn with a pen of a random width, colour and place into generated
pictures of each kind of trouble, and read with the packaged weights or others, a column each. The
first row is the accuracy on the same digits' own 28×28 images. On a sheet there are three lines of
eight digits.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.cli import predict
from mnist_lit.data.published import Published
from mnist_lit.network.inference import LEAST_DOUBT, probabilities
from mnist_lit.network.network import Network
from mnist_lit.pictures.constants import SHEET_SIDE
from mnist_lit.pictures.decoding import grey_of
from mnist_lit.pictures.preprocessing import Picture, may_lie, prepare, split
from mnist_lit.prediction import upright

Rng = np.random.Generator
Draw = Callable[[NDArray[np.uint8], Rng], Image.Image]


def large(digit: NDArray[np.uint8], height: int, thin: int = 0) -> Image.Image:
    """Return a digit's ink, 255 on 0, cut to its box and `height` pixels high, perhaps thinned."""
    rows, columns = np.nonzero(digit > 64)
    cut = Image.fromarray(digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    width = max(round(cut.width * height / cut.height), 3)
    ink = cut.resize((width, height), Image.Resampling.BICUBIC)
    ink = ink.point(lambda value: 255 if value > 110 else 0)
    for _ in range(thin):
        ink = ink.filter(ImageFilter.MinFilter(3))
    return ink.filter(ImageFilter.GaussianBlur(0.6))


def page(
    digit: NDArray[np.uint8],
    rng: Rng,
    *,
    size: tuple[int, int] | None = None,
    height: int | None = None,
    thin: int = 0,
    ink: tuple[int, int, int] | None = None,
    paper: tuple[int, int, int] | None = None,
) -> Image.Image:
    """Return paper with one digit on it, with room on all sides."""
    size = size or (int(rng.integers(130, 240)), int(rng.integers(120, 220)))
    height = height or int(size[1] * rng.uniform(0.4, 0.68))
    drawn = large(digit, height, thin)
    grey = int(rng.integers(215, 256))
    sheet = Image.new("RGB", size, paper or (grey, grey, grey))
    room = [max(n - m, 1) for n, m in zip(size, drawn.size, strict=True)]
    place = (int(room[0] * rng.uniform(0.3, 0.7)), int(room[1] * rng.uniform(0.3, 0.7)))
    dark = int(rng.integers(0, 90))
    sheet.paste(Image.new("RGB", drawn.size, ink or (dark, dark, dark)), place, drawn)
    return sheet


def scanned(sheet: Image.Image, rng: Rng, noise: float = 3) -> Image.Image:
    """Return a sheet as a scanner sees it: a little turned, soft, noisy, saved as JPEG."""
    values = np.asarray(sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9))), np.float32)
    values += rng.normal(0, noise, values.shape[:2])[..., None]
    file = io.BytesIO()
    soft = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    soft.save(file, "JPEG", quality=int(rng.integers(60, 95)))
    return Image.open(file).convert("RGB")


def with_lines(sides: str) -> Draw:
    """Return what draws a printed line along some sides of the picture."""

    def draw(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
        sheet = page(digit, rng)
        pen = ImageDraw.Draw(sheet)
        width, height = sheet.size
        grey, thick = int(rng.integers(0, 120)), int(rng.integers(1, 7))
        slope = rng.uniform(-0.02, 0.02)
        at = {side: rng.uniform(0.02, 0.11) for side in "tblr"}
        colour = (grey, grey, grey)
        for side in sides:
            if side in "tb":
                y = height * (at[side] if side == "t" else 1 - at[side])
                rise = slope * width / 2
                pen.line((0, y - rise, width, y + rise), colour, thick)
            else:
                x = width * (at[side] if side == "l" else 1 - at[side])
                rise = slope * height / 2
                pen.line((x + rise, 0, x - rise, height), colour, thick)
        return scanned(sheet, rng)

    return draw


def cut_on_lines(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    sheet = page(digit, rng)
    grey = int(rng.integers(0, 100))
    thick = int(rng.integers(2, 7))
    ImageDraw.Draw(sheet).rectangle(
        (0, 0, sheet.width - 1, sheet.height - 1), None, (grey, grey, grey), thick
    )
    return scanned(sheet, rng)


def boxed(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    """A printed box with paper around it."""
    cell = page(digit, rng)
    grey, thick = int(rng.integers(0, 120)), int(rng.integers(2, 6))
    ImageDraw.Draw(cell).rectangle(
        (0, 0, cell.width - 1, cell.height - 1), None, (grey, grey, grey), thick
    )
    room = int(max(cell.size) * rng.uniform(0.04, 0.6))
    paper = cell.getpixel((thick + 2, thick + 2))
    sheet = Image.new("RGB", (cell.width + 2 * room, cell.height + 2 * room), paper)
    sheet.paste(cell, (room, room))
    return scanned(sheet.rotate(rng.uniform(-1.5, 1.5), fillcolor=paper), rng)


def ruled(digit: NDArray[np.uint8], rng: Rng, *, squared: bool = False) -> Image.Image:
    step = int(rng.integers(14, 40)) if squared else int(rng.integers(30, 60))
    height = int(rng.uniform(1.2, 3) * step) if squared else None
    sheet = page(digit, rng, height=height)
    inked = np.array(sheet)
    pen = ImageDraw.Draw(sheet)
    light = int(rng.integers(120, 215))
    colour = [(light, light, light), (light - 60, light - 20, 240)][int(rng.integers(2))]
    thick = int(rng.integers(1, 3))
    for y in range(int(rng.integers(step)), sheet.height, step):
        pen.line((0, y, sheet.width, y), colour, thick)
    if squared:
        for x in range(int(rng.integers(step)), sheet.width, step):
            pen.line((x, 0, x, sheet.height), colour, thick)
    # The pen lies on top of the print.
    return scanned(Image.fromarray(np.minimum(np.asarray(sheet), inked)), rng)


def bordered(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    sheet = page(digit, rng)
    thick = max(int(max(sheet.size) * rng.uniform(0.005, 0.05)), 1)
    colours = [(0, 0, 0), (90, 90, 90), (40, 60, 160), (150, 40, 40)]
    colour = colours[int(rng.integers(len(colours)))]
    ImageDraw.Draw(sheet).rectangle((0, 0, sheet.width - 1, sheet.height - 1), None, colour, thick)
    return sheet


def small(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    side = int(rng.integers(300, 700))
    return page(digit, rng, size=(side, side), height=max(int(side * rng.uniform(0.03, 0.08)), 10))


def thin(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    drawn = np.asarray(large(digit, int(rng.integers(200, 300)))) > 127
    # About the middle of the stroke.
    distance = ndimage.distance_transform_edt(drawn)
    ridge = (distance > ndimage.maximum_filter(distance, 9) - rng.uniform(1.2, 2.2)) & drawn
    line = ndimage.binary_closing(np.pad(ridge, 6), iterations=5)[6:-6, 6:-6]
    sheet = Image.new("L", (400, 400), int(rng.integers(220, 256)))
    place = ((400 - line.shape[1]) // 2, (400 - line.shape[0]) // 2)
    sheet.paste(int(rng.integers(0, 80)), place, Image.fromarray(line.astype(np.uint8) * 255))
    return sheet


def shadowed(digit: NDArray[np.uint8], rng: Rng, size: int = 320) -> Image.Image:
    height = size * 3 // 4
    sheet = scanned(page(digit, rng, size=(size, height)), rng)
    values = np.asarray(sheet, np.float32)
    y, x = np.mgrid[:height, :size] * (320 / size)
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-70, 70)
    distance = (x - 160) * np.cos(angle) + (y - 120) * np.sin(angle) - offset
    shade = 1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-distance / rng.uniform(2, 15)))
    return Image.fromarray((values * shade[..., None]).clip(0, 255).astype(np.uint8))


def lying(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    turn = Image.Transpose.ROTATE_90 if rng.random() < 0.5 else Image.Transpose.ROTATE_270
    return shadowed(digit, rng, 640).transpose(turn)


def coloured(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    inks = [(200, 30, 30), (20, 90, 30), (30, 40, 160), (120, 60, 10)]
    papers = [(250, 240, 200), (200, 230, 250), (240, 210, 220), (210, 240, 210)]
    ink, paper = (many[int(rng.integers(len(many)))] for many in (inks, papers))
    return scanned(page(digit, rng, ink=ink, paper=paper), rng)


def turned(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    sheet = page(digit, rng)
    return sheet.rotate(rng.uniform(-15, 15), fillcolor=sheet.getpixel((0, 0)))


def equal_grey(digit: NDArray[np.uint8], rng: Rng) -> Image.Image:
    pairs = [
        ((0, 0, 255), (97, 0, 0)),
        ((180, 40, 40), (40, 96, 90)),
        ((10, 130, 10), (200, 20, 60)),
    ]
    ink, paper = pairs[int(rng.integers(len(pairs)))]
    return scanned(page(digit, rng, ink=ink, paper=paper), rng)


KINDS: dict[str, Draw] = {
    "clean": lambda digit, rng: page(digit, rng),
    "scan": lambda digit, rng: scanned(page(digit, rng), rng),
    "noise": lambda digit, rng: scanned(page(digit, rng), rng, noise=18),
    "frame": with_lines("tblr"),
    "cut on the lines": cut_on_lines,
    "line below": with_lines("b"),
    "lines above and below": with_lines("tb"),
    "line at the left": with_lines("l"),
    "ruled paper": ruled,
    "squared paper": lambda digit, rng: ruled(digit, rng, squared=True),
    "border": bordered,
    "small on a sheet": small,
    "thin pen": thin,
    "shadow": shadowed,
    "coloured ink and paper": coloured,
    "turned by up to 15°": turned,
    # A kind's pictures follow from its place: further ones come last.
    "box on paper": boxed,
    "equally grey": equal_grey,
    "photograph": lambda digit, rng: shadowed(digit, rng, 640),
    "photograph on its side": lying,
}


SHEETS = ("clean", "scan", "boxes", "connected boxes", "lines", "lines across")
ROWS, COLUMNS, CELL = 3, 8, 80


def sheet(kind: str, digits: NDArray[np.uint8], rng: Rng) -> Image.Image:
    """Return a page with lines of digits, perhaps printed with boxes or lines, a little turned."""
    size = (COLUMNS * CELL + 120, ROWS * (CELL + 40) + 80)
    paper = Image.new("L", size, 235)
    pen = ImageDraw.Draw(paper)
    for i in range(ROWS * COLUMNS):
        x, y = 60 + i % COLUMNS * CELL, 60 + i // COLUMNS * (CELL + 40)
        if kind == "boxes":
            pen.rectangle((x + 4, y + 4, x + CELL - 4, y + CELL - 4), outline=100, width=3)
        elif kind == "connected boxes":
            pen.rectangle((x, y, x + CELL, y + CELL), outline=100, width=3)
        elif kind != "clean" and kind != "scan" and i % COLUMNS == 0:
            ends = (0, size[0]) if kind == "lines across" else (x, x + COLUMNS * CELL)
            pen.line((ends[0], y + 72, ends[1], y + 72), 100, 3)
    for i, digit in enumerate(digits):
        x, y = 60 + i % COLUMNS * CELL, 60 + i // COLUMNS * (CELL + 40)
        ink = large(digit, int(rng.integers(36, 52)))
        on_line = kind.startswith("lines")
        down = 72 - ink.height if on_line else (CELL - ink.height) // 2 + int(rng.integers(-5, 6))
        paper.paste(20, (x + (CELL - ink.width) // 2 + int(rng.integers(-5, 6)), y + down), ink)
    if kind == "clean":
        return paper
    turned = paper.rotate(rng.uniform(-1.2, 1.2), Image.Resampling.BICUBIC, fillcolor=235)
    return scanned(turned.convert("RGB"), rng)


def read_sheets(count: int, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Print how many digits of sheets are found and, line by line, read right."""
    network, each = checkpoints.read("pretrained").build(), ROWS * COLUMNS
    print(f"{'sheet':<26}{'digits':>8}{'found':>8}{'right':>8}")
    for kind in SHEETS:
        rng, found, right = np.random.default_rng(SHEETS.index(kind)), 0, 0
        for _ in range(count):
            chosen = rng.integers(0, len(images), each)
            grey = grey_of(sheet(kind, images[chosen], rng), SHEET_SIDE)
            seen = torch.from_numpy(np.stack([own.image for own in split(grey)]))
            answers = probabilities(network, seen[:, None]).argmax(1).tolist()
            same = SequenceMatcher(None, labels[chosen].tolist(), answers, autojunk=False)
            found += len(answers)
            right += sum(block.size for block in same.get_matching_blocks())
        print(f"{kind:<26}{count * each:>8}{found:>8}{right:>8}")


def weigh_turning(network: Network, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Print what it costs upright images, and gains those on their side, to turn what is surer."""
    found = [probabilities(network, images.rot90(turn, (2, 3))) for turn in range(4)]
    doubts = torch.stack([1 - each.amax(1) for each in found]).clamp(min=LEAST_DOUBT)
    answers = torch.stack([each.argmax(1) for each in found])
    print(f"{'times surer':<12}{'turned':>8}{'lost':>8}{'right on its side':>20}")
    for times in (10, 50, 200, 1000, float("inf")):
        turned, right = {}, {}
        for lies in (0, 1, 3):
            ways = torch.tensor([lies, (lies + 1) % 4, (lies - 1) % 4])
            best = doubts[ways].min(0)
            turned[lies] = doubts[lies] > times * best.values
            chosen = torch.where(turned[lies], ways[best.indices], lies)
            right[lies] = answers.gather(0, chosen[None])[0] == labels
        lost = int((answers[0] == labels).sum() - right[0].sum())
        share = float(torch.cat([right[1], right[3]]).float().mean())
        print(f"{times:<12}{int(turned[0].sum()):>8}{lost:>8}{share:>20.3f}")


def draw(path: Path, images: torch.Tensor, kinds: Sequence[str]) -> None:
    """Draw a picture of each kind, and below it what the network sees."""
    network = checkpoints.read("pretrained").build()
    tile, gap, columns = 112, 8, 6
    rows = -(-len(kinds) // columns)
    height = 2 * tile + 34
    sheet = Image.new("RGB", (columns * (tile + gap) + gap, rows * height + 4), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for i, kind in enumerate(kinds):
        picture = KINDS[kind](images[21 + 3 * i].numpy(), np.random.default_rng(i + 5))
        prepared = prepare(grey_of(picture))._replace(may_lie=may_lie(picture.size))
        seen = Image.fromarray(upright(network, prepared).image).resize((tile, tile), 0)
        x, y = gap + i % columns * (tile + gap), i // columns * height
        name = kind.replace("above and below", "on two sides").replace(" ink and paper", "")
        pen.text((x, y + 4), name, "black", font)
        picture.thumbnail((tile, tile))
        sheet.paste(picture, (x, y + 22))
        sheet.paste(seen, (x, y + 26 + tile))
    sheet.save(path, optimize=True)


def draw_sheet(path: Path, images: NDArray[np.uint8]) -> None:
    """Draw a sheet as `predict --split --show` does."""
    rng = np.random.default_rng(3)
    with TemporaryDirectory() as folder:
        file = str(Path(folder, "sheet.png"))
        sheet("connected boxes", images[: ROWS * COLUMNS], rng).save(file)
        predict.command(["--split", file, "--ckpt_path", "pretrained", "--show", str(path)])
    Image.open(path).quantize(32).save(path, optimize=True)  # a quarter of the bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default="data", help="the folder with MNIST")
    parser.add_argument("--count", type=int, default=500, help="pictures of each kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), help="some of them")
    parser.add_argument("--ckpt_path", nargs="+", default=["pretrained"], help="checkpoints")
    parser.add_argument("--sheets", type=int, help="only so many sheets of each kind")
    parser.add_argument(
        "--turning", action="store_true", help="only weigh when to turn what lies on its side"
    )
    parser.add_argument(
        "--draw",
        type=Path,
        help="only draw one of each into this .png file, and sheet.png beside it",
    )
    args = parser.parse_args()
    images, labels = Published("mnist", args.data_dir).read("test")
    if args.draw:
        draw(
            args.draw, images[:, 0], [kind for kind in KINDS if kind not in ("clean", "photograph")]
        )
        draw_sheet(args.draw.with_name("sheet.png"), images[:, 0].numpy())
        return
    if args.sheets:
        read_sheets(args.sheets, images[:, 0].numpy(), labels.numpy())
        return
    networks = [checkpoints.read(path).build() for path in args.ckpt_path]
    if args.turning:
        for network in networks:
            weigh_turning(network, images, labels)
        return
    images, labels = images[: args.count], labels[: args.count]

    def right(pictures: Sequence[Picture]) -> str:
        text = ""
        for network in networks:
            seen = np.stack([upright(network, picture).image for picture in pictures])
            answers = probabilities(network, torch.from_numpy(seen)[:, None]).argmax(1)
            text += f"{float((answers == labels).float().mean()):>8.3f}"
        return text

    own = [Picture(image.numpy(), "") for image in images[:, 0]]
    print(f"{len(labels)} pictures each\n{'own images':<26}{'ms':>8}{right(own)}")
    for kind in args.kinds:
        rng = np.random.default_rng(list(KINDS).index(kind))
        drawn = [KINDS[kind](image.numpy(), rng) for image in images[:, 0]]
        greys = [grey_of(picture) for picture in drawn]
        start = time.perf_counter()
        prepared = [prepare(grey) for grey in greys]
        each = (time.perf_counter() - start) / len(greys) * 1000
        sized = [
            picture._replace(may_lie=may_lie(file.size))
            for picture, file in zip(prepared, drawn, strict=True)
        ]
        print(f"{kind:<26}{each:>8.1f}{right(sized)}", flush=True)


if __name__ == "__main__":
    main()
