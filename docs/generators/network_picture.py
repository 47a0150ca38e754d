"""Draws docs/explanation/u-net.svg: the paper's figure 1, with the sides that the code computes.

.venv/bin/python -m docs.generators.network_picture
"""

from __future__ import annotations

from pathlib import Path

from components.tiling import Geometry
from docs.generators.svg import BLUE, GREY, PLUM, RUST, TEAL, box, line, picture, text

FILE = Path(__file__).resolve().parents[1] / "explanation" / "u-net.svg"
SIDE, FILTERS = 572, 64  # of the paper's figure


def levels(side: int, depth: int = 4) -> list[tuple[int, int, int, int]]:
    """Sides before and after the convolutions of each level, from the top: down, then up."""
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
    """The picture as text of an SVG file."""
    geometry = Geometry()
    wide, high, step, left, right = 92.0, 46.0, 92.0, 14.0, 474.0
    shapes = []
    rows = levels(SIDE)
    for level, (into, out, up_into, up_out) in enumerate(rows):
        channels = FILTERS * 2**level
        y = 40 + step * level
        shift = 46 * level
        x, end = left + shift, right - shift
        if level == len(rows) - 1:
            x = (left + right) / 2
            shapes += _block(x, y, wide, high, PLUM, into, out, channels)
        else:
            shapes += _block(x, y, wide, high, BLUE, into, out, channels)
            shapes += _block(end, y, wide, high, TEAL, up_into, up_out, channels)
            crop = (out - up_into) // 2
            middle = (x + wide + end) / 2
            shapes.append(line([(x + wide + 3, y + high / 2), (end - 4, y + high / 2)], GREY, arrow=True))
            label = f"crop {crop}"
            more = 'text-anchor="middle"'
            shapes.append(text(middle, y + high / 2 - 6, label, size=12, fill=GREY, more=more))
            below = left + 46 * (level + 1) if level < len(rows) - 2 else (left + right) / 2
            shapes.append(
                line([(x + 70, y + high + 2), (max(below, x) + 24, y + step - 3)], RUST, arrow=True)
            )
            above = right - 46 * (level + 1) if level < len(rows) - 2 else (left + right) / 2
            start = above + wide - 24
            shapes.append(line([(start, y + step - 2), (end + 22, y + high + 3)], RUST, arrow=True))
    bottom = 40 + step * len(rows) - 14
    words = [
        (BLUE, "down: two 3 x 3 convolutions, then a 2 x 2 pooling"),
        (TEAL, "up: a 2 x 2 transposed convolution, the cropped skip, two 3 x 3 convolutions"),
    ]
    for i, (colour, label) in enumerate(words):
        shapes += [box(left, bottom + 24 * i, 12, 12, colour, radius=3)]
        shapes.append(text(left + 19, bottom + 11 + 24 * i, label, size=12, fill=GREY))
    lost = f"{SIDE} in, {rows[0][3]} out: {geometry.halo} pixels are lost on each side"
    more = 'text-anchor="middle"'
    shapes.append(text((left + right + wide) / 2, 22, lost, size=14, fill=GREY, more=more))
    description = "; ".join(
        f"level {n}: {a} to {b} on the way down, {c} to {d} on the way up"
        for n, (a, b, c, d) in enumerate(rows, 1)
    )
    return picture(
        right + wide + left, bottom + 48, "The U-Net and the sides of its features", description, shapes
    )


def _block(
    x: float, y: float, w: float, h: float, fill: str, into: int, out: int, channels: int
) -> list[str]:
    """A level's pair of convolutions: its sides, and its channels."""
    more = 'text-anchor="middle"'
    return [
        box(x, y, w, h, fill),
        text(x + w / 2, y + 19, f"{into} → {out}", size=14, more=more + ' font-weight="600"'),
        text(x + w / 2, y + 36, f"{channels} channels", size=12, more=more),
    ]


def main() -> None:
    """Writes the picture."""
    FILE.write_text(draw(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
