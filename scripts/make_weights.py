"""Take the last epoch of the newest run in `runs/` as the weights that come with the package."""

from pathlib import Path

from mnist_lit.checkpoints import checkpoint, safetensors
from mnist_lit.runs import finding, summary


def main() -> None:
    run = finding.newest(Path("runs"))
    found, results = checkpoint.read(run.last), summary.read(run)
    assert results is not None, f"{run} is not finished"
    safetensors.write(checkpoint.PRETRAINED, found.weights, found.content, results)
    print(f"{run.last} -> {checkpoint.PRETRAINED}, {checkpoint.PRETRAINED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
