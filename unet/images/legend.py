"""The legend below an overlay: which color is which class, and that the image has another contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unet.images.display import BLACK, WHITE

NOTE = f"image: grey, contrast stretched (percentile {BLACK:g} black, {WHITE:g} white)"
_NARROWEST = 160  # pixels; below a smaller image the legend is wider than the image
_LETTERS = 70  # about so many letters fit into a line, where the size of the letters has no limit
_SMALLEST, _LARGEST = 11, 48  # height of the letters in pixels
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def with_legend(
    picture: NDArray[np.uint8], entries: Sequence[tuple[str, tuple[int, int, int]]]
) -> NDArray[np.uint8]:
    """Adds a legend below a picture, which stays as it is at the top left.

    Args:
        picture: the overlay, [H, W, 3].
        entries: name and color of each class that the overlay shows.

    Returns:
        The picture above its legend, [height, width, 3].
    """
    height, width = picture.shape[:2]
    size = min(max(width * 2 // _LETTERS, _SMALLEST), _LARGEST)
    # Names may hold letters that the font has not: it draws boxes for them.
    font = ImageFont.load_default(size)
    gap, line = size // 2, round(1.5 * size)
    room = max(width, _NARROWEST) - 2 * gap
    places: list[tuple[int, int, str, tuple[int, int, int] | None]] = []
    x = y = 0
    for words, color in [*entries, *((word, None) for word in NOTE.split(" "))]:
        is_first_of_note = color is None and (not places or places[-1][3] is not None)
        taken = round(font.getlength(words)) + (size + gap if color else 0)
        if x and (x + taken > room or is_first_of_note):
            x, y = 0, y + line
        places.append((x, y, words, color))
        x += taken + (2 * gap if color else gap)
    strip = Image.new("RGB", (room + 2 * gap, y + line + 2 * gap), _PAPER)
    draw = ImageDraw.Draw(strip)
    for x, y, words, color in places:
        left, top = x + gap, y + gap
        if color:
            draw.rectangle((left, top, left + size - 1, top + size - 1), color, _INK)
            left += size + gap
        draw.text((left, top + size // 2), words, _INK, font, anchor="lm")
    below = np.asarray(strip)
    whole = np.full((height + below.shape[0], max(width, below.shape[1]), 3), 255, np.uint8)
    whole[:height, :width] = picture
    whole[height:, : below.shape[1]] = below
    return whole
