"""What does a folder of pictures cost, the first time and later, compared with MNIST's own files?

python benchmarks/folder.py [--data_dir DIR] [--most 50000]

The pictures are MNIST's: PNG files of 28×28 pixels taken as they are, and JPEG files of 128×128,
dark on light, in which the ink is searched. Each number comes from a process of its own. Time and
memory should grow linearly, memory by about a byte per pixel and the length of the files' names. It
runs on Linux only.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from mnist_lit.data.published import Published
from processes import run

PREPARE = """
import json, sys, time
from pathlib import Path
from mnist_lit.data.folder import Folder
def kilobytes(what):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[what].split()[0])
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from now on
before, start = kilobytes("VmRSS"), time.perf_counter()
found = Folder(Path("digits"), sys.argv[1])
found.prepare()
splits = found.load(0.2)
print(json.dumps([time.perf_counter() - start, (kilobytes("VmHWM") - before) / 1024]))
"""


def write(folder: Path, images: list[Image.Image], labels: list[int], suffix: str) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)  # converted pictures go with the folder
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / "digits" / str(label) / f"{i:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def prepare(folder: str, preprocessing: str) -> list[float]:
    """Return the seconds until the images are in memory, and the megabytes that this took."""
    command = [sys.executable, "-c", PREPARE, preprocessing]
    answer = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
    found: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def epoch(folder: str, *options: object) -> float:
    """Return the seconds of the second epoch's training."""
    run("-m", "mnist_lit", "fit", "--name", "timed", "--trainer.max_epochs", 2, *options,
        folder=folder)  # fmt: skip
    newest = max(Path(folder).glob("runs/timed/version_*/metrics.csv"))
    with newest.open(newline="") as file:
        return float(list(csv.DictReader(file))[1]["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--most", type=int, default=50_000)
    args = parser.parse_args()
    images, labels = Published("mnist", args.data_dir).read("train")
    small = [Image.fromarray(image) for image in images[: args.most, 0].numpy()]
    print(f"{'':<16}{'pictures':>10}{'first s':>9}{'later s':>9}{'ms each':>9}{'MB':>7}")
    kinds = (("PNG 28×28", "plain", ".png"), ("JPEG 128×128", "mnist", ".jpg"))
    for kind, preprocessing, suffix in kinds:
        for n in (1000, 2000, 5000, 10_000, 20_000, 50_000):
            if n > args.most:
                continue
            with tempfile.TemporaryDirectory() as folder:
                pictures = small[:n]
                if suffix == ".jpg":
                    pictures = [p.point(lambda v: 255 - v).resize((128, 128)) for p in pictures]
                write(Path(folder), pictures, labels[:n].tolist(), suffix)
                (first, _), (later, megabytes) = (prepare(folder, preprocessing) for _ in range(2))
            print(f"{kind:<16}{n:>10,}{first:>9.2f}{later:>9.2f}{1000 * first / n:>9.2f}", end="")
            print(f"{megabytes:>7.0f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), small, labels[: args.most].tolist(), ".png")
        own = ("--data.dataset", "digits", "--data.val_split", 0)
        # A fifth of the folder is kept for the test.
        batches = int(0.8 * args.most) // 32
        mnist = ("--data.data_dir", Path(args.data_dir).resolve(), "--data.val_split", 0)
        limit = ("--trainer.limit_train_batches", batches)
        pairs = [(epoch(folder, *own, *limit), epoch(folder, *mnist, *limit)) for _ in range(5)]
    ratios = sorted(one / other for one, other in pairs)
    print(f"an epoch of {32 * batches:,} images, folder over MNIST: {ratios[2]:.3f}", end=" ")
    print(f"(5 pairs, {ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
