"""Draws docs/explanation/u-net.svg: the paper's figure 1, with the sizes that the code computes.

.venv/bin/python -m docs.generators.network_picture
"""

from __future__ import annotations

from pathlib import Path

from docs.generators.svg import BLUE, GRAY, PLUM, TEAL, box, line, picture, text
from unet.tiling import Geometry

FILE = Path(__file__).resolve().parents[1] / "explanation" / "u-net.svg"
SIDE, FILTERS = 572, 64  # size and filters in the paper's figure


def levels(side: int, depth: int = 4) -> list[tuple[int, int, int, int]]:
    """Returns the sizes before and after the convolutions of each level: down, then up."""
    down = []
    for _ in range(depth + 1):
        down.append((side, side - 4))
        side = (side - 4) // 2
    up = [down[-1]]
    for _ in range(depth):
        side = 2 * up[-1][1]
        up.append((side, side - 4))
    return [(*d, *u) for d, u in zip(down, reversed(up), strict=True)]


def draw() -> str:
    """Returns the picture as the text of an SVG file."""
    geometry = Geometry()
    wide, high, step, left, right, shift = 92.0, 46.0, 88.0, 12.0, 396.0, 36.0
    shapes = []
    rows = levels(SIDE)
    middle = 'text-anchor="middle"'
    center = (left + right) / 2  # center of the lowest level
    for level, (into, out, up_into, up_out) in enumerate(rows):
        channels, y = FILTERS * 2**level, 40 + step * level
        if level == len(rows) - 1:
            shapes += _block(center, y, wide, high, PLUM, into, out, channels)
            continue
        x, end = left + shift * level, right - shift * level
        shapes += _block(x, y, wide, high, BLUE, into, out, channels)
        shapes += _block(end, y, wide, high, TEAL, up_into, up_out, channels)
        shapes.append(line([(x + wide + 3, y + high / 2), (end - 3, y + high / 2)], GRAY, arrow=True))
        crop = f"crop {(out - up_into) // 2}"
        shapes.append(text((x + wide + end) / 2, y + high / 2 - 7, crop, size=13, fill=GRAY, more=middle))
        lowest = level == len(rows) - 2
        down = (x + wide - 20, center + 26 if lowest else x + wide - 20)
        up = (center + wide - 26 if lowest else end + 20, end + 20)
        shapes.append(line([(down[0], y + high + 2), (down[1], y + step - 3)], GRAY, arrow=True))
        shapes.append(line([(up[0], y + step - 2), (up[1], y + high + 3)], GRAY, arrow=True))
    bottom = 40 + step * len(rows) - 18
    words = [
        (BLUE, "down: two 3 x 3 convolutions, then a 2 x 2 pooling"),
        (TEAL, "up: a 2 x 2 transposed convolution, the cropped skip beside"),
        (None, "it, two 3 x 3 convolutions"),
    ]
    for i, (color, label) in enumerate(words):
        shapes += [box(left, bottom + 22 * i, 12, 12, color, radius=3)] if color else []
        shapes.append(text(left + 20, bottom + 11 + 22 * i, label, size=14, fill=GRAY))
    lost = f"{SIDE} in, {rows[0][3]} out: {geometry.halo} pixels are lost on each side"
    shapes.append(text(center + wide / 2, 24, lost, size=15, fill=GRAY, more=middle))
    description = "; ".join(
        f"level {n}: {a} to {b} on the way down, {c} to {d} on the way up"
        for n, (a, b, c, d) in enumerate(rows, 1)
    )
    return picture(
        right + wide + left, bottom + 66, "The U-Net and the sides of its features", description, shapes
    )


def _block(
    x: float, y: float, w: float, h: float, fill: str, into: int, out: int, channels: int
) -> list[str]:
    """Draws the two convolutions of a level with their sizes and channels."""
    more = 'text-anchor="middle"'
    return [
        box(x, y, w, h, fill),
        text(x + w / 2, y + 19, f"{into} → {out}", size=14, more=more + ' font-weight="600"'),
        text(x + w / 2, y + 36, f"{channels} channels", size=12, more=more),
    ]


def main() -> None:
    """Writes the picture to its file."""
    FILE.write_text(draw(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
