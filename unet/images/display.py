"""Pictures for people: images with stretched contrast, overlaid with their classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.images.reader import to_grayscale
from unet.images.stacking import composite

LARGEST = 1 << 25  # largest number of pixels of an overlay; larger images are subsampled
BLACK, WHITE = 1.0, 99.7  # percentiles of the grey values that are shown as black and white
_OPACITY = 0.35  # opacity of the areas of classes; their outlines are opaque


def overlay(
    pixels: NDArray[Any],
    indices: NDArray[np.integer],
    colors: Sequence[tuple[int, int, int]],
    first: int = 1,
) -> NDArray[np.uint8]:
    """Draws translucent areas with outlines of all classes that count over the image in grey.

    Args:
        pixels: the image, uint8 or uint16 [H, W, channels]; see `composite`.
        indices: class of each pixel, [H, W].
        colors: red, green and blue of each class.
        first: index of the first class that counts; the image stays as it is in a background.

    Returns:
        The picture, [h, w, 3]; h and w are H and W, or less for images of more than `LARGEST` pixels.
    """
    step = max(1, math.ceil(math.sqrt(indices.size / LARGEST)))
    shown, classes = np.asarray(composite(pixels)[::step, ::step]), np.asarray(indices[::step, ::step])
    stored = to_grayscale(shown) if shown.shape[-1] == 3 else shown[..., 0]
    gray = stretch_table(stored, BLACK, WHITE)[stored]
    outline = _outline(classes)
    areas = np.repeat(gray[..., None], 3, -1)
    for index, color in enumerate(colors[first:], first):
        inside = classes == index
        mixed = (1 - _OPACITY) * np.arange(256)[:, None] + _OPACITY * np.asarray(color)
        areas[inside] = mixed.astype(np.uint8)[gray[inside]]
        areas[inside & outline] = color
    return areas


def _outline(classes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels with at least one of the four neighbours in another class."""
    outline = np.zeros(classes.shape, bool)
    down, right = classes[1:] != classes[:-1], classes[:, 1:] != classes[:, :-1]
    outline[1:] |= down
    outline[:-1] |= down
    outline[:, 1:] |= right
    outline[:, :-1] |= right
    return outline


_LOOKED_AT = 1 << 20  # number of pixels from which the percentiles are estimated


def stretch_table(gray: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Table of the displayed value of each stored value: two percentiles become black and white.

    A table avoids arithmetic on each pixel, which would need a float copy of the whole image.

    Args:
        gray: grey values, uint8 or uint16 of any shape.
        black: percentile of the grey values that becomes black, 0 to 100.
        white: percentile of the grey values that becomes white, above `black`.

    Returns:
        The displayed values, uint8 [256] or [65536] by the type of `gray`.
    """
    low, high = used_range(gray, black, white)
    values = np.arange(np.iinfo(gray.dtype).max + 1)
    return (np.clip((values - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)


def used_range(gray: NDArray[Any], black: float, white: float) -> tuple[float, float]:
    """The two percentiles of grey values that `stretch_table` makes black and white."""
    low, high = np.percentile(gray.reshape(-1)[:: max(1, gray.size // _LOOKED_AT)], [black, white])
    return float(low), float(high)


# Black is the background. Then the colour-blind-safe palette of Okabe and Ito 2008 (jfly.uni-koeln.de/color),
# and those of Krzywinski's palettes of 12 and 15 colours for colour blindness (mk.bcgsc.ca/colorblind) that
# differ most from all before them for normal, protan, deutan and tritan eyes. Nobody tells many more apart:
# further classes have the same colours, ever darker, and the report names classes by letters, too.
PALETTE = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
    (164, 1, 34), (104, 2, 63), (0, 252, 207), (0, 60, 134), (0, 141, 249),
)  # fmt: skip
_DARKEST = 0.3  # brightness of the last repetition


def class_colors(classes: int, first: int = 1) -> list[tuple[int, int, int]]:
    """Red, green and blue of each class, 0 to 255; a class before the first that counts is black."""
    colors = np.asarray(PALETTE[1:])
    rounds = math.ceil((classes - first) / len(colors))
    shades = [colors * shade for shade in np.linspace(1, _DARKEST, max(rounds, 1))]
    every = np.concatenate(shades)[: classes - first].round().astype(int).tolist()
    return [*PALETTE[:first], *(tuple(color) for color in every)]


def class_letter(index: int, first: int = 1) -> str:
    """Letter of a class in pictures and legends: A of the first class that counts, Z, A2, ...; else empty."""
    number, letter = divmod(index - first, 26)
    return "" if index < first else f"{chr(ord('A') + letter)}{number + 1 if number else ''}"
