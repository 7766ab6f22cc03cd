"""Write `docs/draw.html`: the page of the packaged weights, to open without an installation."""

from pathlib import Path

from mnist_lit.checkpoints import checkpoint as checkpoints
from mnist_lit.formats import page


def main() -> None:
    pretrained = checkpoints.read("pretrained")
    page.write(Path("docs", "draw.html"), pretrained, pretrained.build())


if __name__ == "__main__":
    main()
