"""How fast is an epoch of the notebook's training, compared with what people use?

python benchmarks/peers.py --keras_python PATH [--data_dir DIR] [--rounds 5]

Four peers train the notebook's network at batch 32 on 60,000 images. Each is one process from start
to end: an epoch to warm up, then one epoch per round, one peer after the other. The time is that of
an epoch as seen from outside.

`--keras_python` is the Python of an environment with `benchmarks/requirements.txt`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
NAMES = {
    "this_project": "mnist-lit",
    "keras_notebook": "Keras 3 on TensorFlow, the notebook's lines",
    "pytorch_example": "the usual PyTorch example",
    "lightning_tutorial": "the usual Lightning tutorial",
}


class Peer:
    def __init__(
        self, name: str, python: str, data_dir: str, epochs: int, images: int = 60_000
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [python, str(PEERS / f"{name}.py"), data_dir, str(epochs), str(images)],
            cwd=self.folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def epoch(self) -> float:
        """Let it train an epoch; return the seconds."""
        assert self.process.stdin is not None
        start = time.perf_counter()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.answer()
        return time.perf_counter() - start

    def answer(self) -> float:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@ "):
                return float(line[2:])
        raise SystemExit(f"{self.process.args!r} ended early")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras_python", required=True)
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    data_dir = str(Path(args.data_dir).resolve())
    peers = {}
    for name in NAMES:
        python = args.keras_python if name == "keras_notebook" else sys.executable
        peers[name] = Peer(name, python, data_dir, args.rounds + 1)
        peers[name].epoch()
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(args.rounds):
        for name, peer in peers.items():
            seconds[name].append(peer.epoch())
    print(f"{'':<45}{'s/epoch':>9}{'ratio':>7}{'min':>7}{'max':>7}  accuracy")
    for name, peer in peers.items():
        pairs = zip(seconds[name], seconds["this_project"], strict=True)
        ratios = [its / ours for its, ours in pairs]
        print(
            f"{NAMES[name]:<45}{statistics.median(seconds[name]):>9.2f}"
            f"{statistics.median(ratios):>7.2f}{min(ratios):>7.2f}{max(ratios):>7.2f}"
            f"{peer.answer():>10.4f}"
        )
        peer.process.wait()


if __name__ == "__main__":
    main()
