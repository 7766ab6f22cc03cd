"""Take the last epoch of the newest run in `runs/` as the weights that come with the package."""

import json
from pathlib import Path

from mnist_lit.checkpoints import checkpoint, safetensors
from mnist_lit.runs import run as runs


def main() -> None:
    run = runs.newest(Path("runs"))
    summary = json.loads(run.summary.read_text("utf-8"))
    safetensors.write(safetensors.PRETRAINED, checkpoint.read(run.last), summary=summary)
    size = safetensors.PRETRAINED.stat().st_size
    print(f"{run.last} -> {safetensors.PRETRAINED}, {size:,} bytes")


if __name__ == "__main__":
    main()
