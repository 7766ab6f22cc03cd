"""Sixty digits drawn as strokes, six of each: varied styles, sizes, places, tilts and widths."""

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Strokes = list[list[list[float]]]

# Several ways to write each digit, in hundredths of the pad.
STYLES: dict[int, list[Strokes]] = {
    0: [
        [[[50, 12], [26, 24], [22, 52], [32, 82], [52, 88], [74, 76], [78, 44], [68, 18], [50, 12]]],
        [[[58, 14], [34, 12], [24, 46], [30, 84], [54, 90], [72, 60], [70, 26], [56, 12], [48, 16]]],
    ],
    1: [
        [[[50, 10], [50, 90]]],
        [[[34, 34], [54, 12]], [[54, 12], [54, 90]]],  # European
        [[[36, 28], [52, 12]], [[52, 12], [50, 88]], [[34, 88], [68, 88]]],
    ],
    2: [
        [[[26, 30], [32, 12], [54, 10], [70, 24], [62, 48], [26, 88]], [[26, 88], [76, 86]]],
        [[[24, 26], [46, 8], [72, 20], [66, 48], [40, 74], [24, 84], [34, 74], [54, 86], [78, 80]]],
    ],
    3: [
        [[[26, 16], [50, 8], [70, 22], [62, 42], [44, 48]], [[44, 48], [72, 54], [72, 80], [48, 92], [26, 80]]],
        [[[28, 12], [70, 12]], [[70, 12], [46, 44]], [[46, 44], [74, 54], [70, 84], [44, 92], [26, 80]]],
    ],
    4: [
        [[[34, 12], [26, 52]], [[26, 52], [76, 52]], [[64, 14], [62, 90]]],  # open
        [[[60, 10], [22, 64]], [[22, 64], [80, 64]], [[60, 10], [60, 92]]],  # closed
    ],
    5: [
        [[[70, 12], [36, 14]], [[36, 14], [32, 46]], [[32, 46], [58, 42], [72, 62], [60, 86], [28, 86]]],
        [[[34, 14], [30, 46], [50, 44], [70, 56], [66, 82], [44, 92], [26, 82]], [[34, 14], [72, 10]]],
    ],
    6: [
        [[[62, 10], [38, 34], [26, 66], [40, 90], [64, 86], [70, 66], [52, 54], [32, 64]]],
        [[[52, 8], [34, 44], [30, 76], [48, 92], [68, 80], [62, 58], [44, 56], [32, 70]]],
    ],
    7: [
        [[[24, 16], [76, 14]], [[76, 14], [46, 90]]],
        [[[24, 16], [76, 14]], [[76, 14], [46, 90]], [[38, 50], [74, 48]]],  # European
    ],
    8: [
        [[[66, 20], [46, 10], [30, 22], [40, 40], [62, 56], [70, 76], [52, 92], [30, 78], [40, 56], [62, 38], [66, 20]]],
        [[[50, 46], [32, 34], [34, 14], [52, 8], [68, 18], [66, 36], [50, 46], [28, 62], [32, 84], [52, 92], [72, 82], [70, 62], [50, 46]]],
    ],
    9: [
        [[[68, 28], [52, 46], [32, 38], [34, 16], [54, 8], [68, 24], [66, 58], [60, 92]]],
        [[[68, 16], [44, 10], [30, 28], [42, 46], [66, 36], [68, 16], [66, 90]]],
    ],
}  # fmt: skip


def drawings() -> list[dict[str, Any]]:
    """Return the digits: `digit`, `strokes` in hundredths of the pad, `width` of the stroke."""
    rng = np.random.default_rng(0)
    found = []
    for digit, styles in STYLES.items():
        for i in range(6):
            tilt = math.radians([0, 15, -15, 7, -7, 0][i])
            scale = [1.0, 0.8, 0.6, 0.9, 0.45, 0.7][i]
            width = [8, 6, 5, 11, 6, 13][i]
            shift = rng.uniform(-1, 1, 2) * 50 * (1 - scale) * 0.8
            narrow = rng.uniform(0.75, 1.1)
            strokes = [
                [
                    [
                        float(50 + shift[0] + scale * (x * math.cos(tilt) - y * math.sin(tilt))),
                        float(50 + shift[1] + scale * (x * math.sin(tilt) + y * math.cos(tilt))),
                    ]
                    for x, y in (
                        # The hand is not steady.
                        (narrow * (a - 50) + rng.normal(0, 1.2), b - 50 + rng.normal(0, 1.2))
                        for a, b in stroke
                    )
                ]
                for stroke in styles[i % len(styles)]
            ]
            found.append({"digit": digit, "strokes": strokes, "width": width})
    return found


def photographs_of_a_2() -> dict[str, Image.Image]:
    """Return pictures of one digit on paper, each 640×480 or 480×640, but for `small`."""
    paper = Image.new("L", (480, 640), 225)
    for stroke in STYLES[2][0]:
        points = [(90 + 3 * x, 170 + 3 * y) for x, y in stroke]
        ImageDraw.Draw(paper).line(points, 40, 9, joint="curve")
    left, right = (paper.rotate(turn, expand=True) for turn in (90, -90))
    return {"upright": paper, "left": left, "right": right, "small": left.resize((639, 479))}
