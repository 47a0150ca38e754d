"""Draws docs/explanation/tiles.svg: two adjacent tiles, their inputs and their outputs.

.venv/bin/python -m docs.generators.tiles_picture
"""

from __future__ import annotations

from pathlib import Path

from docs.generators.svg import BLUE, GRAY, PLUM, TEAL, box, picture, text
from unet.tiling import Geometry

FILE = Path(__file__).resolve().parents[1] / "explanation" / "tiles.svg"
SIDE, IMAGE = 572, (772, 560)  # size of a tile's input; width and height of the image
SCALE, MARGIN = 0.5, 14.0


def draw() -> str:
    """Returns the picture as the text of an SVG file."""
    geometry = Geometry()
    halo, output = geometry.halo, geometry.output_size(SIDE)
    stride = output // geometry.step * geometry.step

    def outline(x: float, y: float, w: float, h: float, color: str, more: str = "") -> str:
        x, y = MARGIN + SCALE * (halo + x), 34 + SCALE * (halo + y)
        return (
            f'<rect x="{x:g}" y="{y:g}" width="{SCALE * w:g}" height="{SCALE * h:g}" rx="3" '
            f'stroke="{color}" stroke-width="2" {more}/>'
        )

    width, height = IMAGE
    hollow, dashed = 'fill="none"', 'fill="none" stroke-dasharray="6 4"'
    shapes = [
        outline(-halo, -halo, width + 2 * halo, height + 2 * halo, GRAY, dashed),
        outline(0, 0, width, height, GRAY, f'fill="{GRAY}" fill-opacity="0.18"'),
    ]
    for at, color in ((0, BLUE), (stride, TEAL)):
        filled = f'fill="{color}" fill-opacity="0.55"'
        shapes += [
            outline(at, 0, output, output, color, filled),
            outline(at - halo, -halo, SIDE, SIDE, color, hollow),
        ]
    shapes.append(outline(stride, 0, output - stride, output, PLUM, f'fill="{PLUM}"'))
    bottom = 34 + SCALE * (height + 2 * halo)
    words = [
        (GRAY, f"the image; dashed: mirrored by {halo} pixels on each side"),
        (BLUE, f"a tile reads {SIDE} pixels (frame) and answers {output} (filled)"),
        (TEAL, f"the next begins {stride} further, a multiple of {geometry.step}"),
        (PLUM, "where both answer, they say the same"),
    ]
    for i, (color, label) in enumerate(words):
        y = bottom + 16 + 22 * i
        shapes += [box(MARGIN, y, 12, 12, color, radius=3)]
        shapes.append(text(MARGIN + 20, y + 11, label, size=14, fill=GRAY))
    title = "Two tiles, what they read and what they answer"
    shapes.append(text(MARGIN, 22, title, size=15, fill=GRAY))
    description = "; ".join(label for _, label in words)
    return picture(
        2 * MARGIN + SCALE * (width + 2 * halo), bottom + 16 + 22 * len(words), title, description, shapes
    )


def main() -> None:
    """Writes the picture to its file."""
    FILE.write_text(draw(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
