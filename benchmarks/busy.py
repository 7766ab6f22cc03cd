"""How much longer does an epoch take while other processes keep the cores busy?

python benchmarks/busy.py [--keras_python PATH] [--data_dir DIR] [--images 9600] [--rounds 3]

The peers of `peers.py` train an epoch of so many images alone, beside one and beside two busy
processes. Each is started anew once the others are busy, trains an epoch to warm up, and then the
one that counts; the peers take turns. Without `--keras_python` Keras is left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from peers import NAMES, Peer

BUSY = (0, 1, 2)


def seconds(name: str, python: str, data_dir: str, images: int, busy: int) -> float:
    """Return what a peer's second epoch takes beside so many busy processes."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        peer = Peer(name, python, data_dir, 2, images)
        peer.epoch()
        found = peer.epoch()
        peer.answer()
        peer.process.wait()
    finally:
        for other in others:
            other.kill()
            other.wait()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras_python")
    parser.add_argument("--data_dir", default=os.environ.get("MNIST_LIT_DATA_DIR", "data"))
    parser.add_argument("--images", type=int, default=9600)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    data_dir = str(Path(args.data_dir).resolve())
    pythons = {name: sys.executable for name in NAMES} | {"keras_notebook": args.keras_python}
    names = [name for name in NAMES if pythons[name]]
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.rounds):
        for busy in BUSY:
            for name in names:
                found = seconds(name, pythons[name], data_dir, args.images, busy)
                times.setdefault((name, busy), []).append(found)
                print(f"{name} {busy} {found:.2f}", file=sys.stderr, flush=True)
    print(f"{'':<45}{'alone, s':>10}{'beside 1':>10}{'beside 2':>10}")
    for name in names:
        alone, one, two = (statistics.median(times[name, busy]) for busy in BUSY)
        print(f"{NAMES[name]:<45}{alone:>10.2f}{one / alone:>9.2f}x{two / alone:>9.2f}x")


if __name__ == "__main__":
    main()
