"""What does `configs/folder.yaml` reach with few pictures, compared with the defaults?

python benchmarks/few_pictures.py [--data_dir DIR] [--seeds 5]

The first 100 images of each digit of MNIST's training set, and its test set, as PNG files in
folders. The accuracy is that of the last epoch on test.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from PIL import Image

from mnist_lit.data.published import Published
from processes import run

CONFIG = Path(__file__).parent.parent / "configs" / "folder.yaml"
EACH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "test"):
            images, labels = Published("mnist", args.data_dir).read(part)
            written = [0] * 10
            for i, (image, label) in enumerate(zip(images[:, 0].numpy(), labels, strict=True)):
                written[label] += 1
                if part == "test" or written[label] <= EACH:
                    path = Path(folder, "digits", part, str(int(label)), f"{i:05}.png")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(path)
        for name, options in (("folder.yaml", ("--config", CONFIG)), ("defaults", ())):
            found = []
            for seed in range(args.seeds):
                run("-m", "mnist_lit", "fit", *options, "--data.dataset", "digits", "--name", name,
                    "--seed_everything", seed, folder=folder)  # fmt: skip
                summary = Path(folder, "runs", name, f"version_{seed}", "summary.json")
                found.append(json.loads(summary.read_text())["last"]["test_accuracy"])
            spread = statistics.stdev(found) if len(found) > 1 else 0
            each = "  ".join(f"{accuracy:.4f}" for accuracy in found)
            print(
                f"{name:<12} {each}   mean {statistics.mean(found):.4f} ± {spread:.4f}", flush=True
            )


if __name__ == "__main__":
    main()
