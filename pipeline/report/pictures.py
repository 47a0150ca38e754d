"""Pictures as data URIs: photographs as JPEG, masks and errors as indexed PNGs, exact to the pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from pipeline.report.artifacts import Missing
from unet.evaluation.errors import MISSED, OTHER, RIGHT, TOO_MUCH
from unet.images.depth import DEPTH_SCALE
from unet.images.display import class_colors, class_letter
from unet.masks.labels import IGNORE

# From Okabe and Ito 2008: distinguishable for color-blind readers, and by brightness alone.
ERROR_COLORS = {
    RIGHT: (240, 228, 66),
    MISSED: (213, 94, 0),
    TOO_MUCH: (86, 180, 233),
    OTHER: (204, 121, 167),
}
NOT_COUNTED = (128, 128, 128)
_RIGHT, _WRONG = 0.35, 0.85  # opacities
_QUALITY = 82  # quality of JPEGs
_UNLETTERED = 7  # classes that colors alone tell apart: those of Okabe and Ito
_LETTERED_REGIONS = 3  # of each class, the largest ones
_LETTER = 0.045  # height of a letter, as a share of the longest side
_GRAYS = 32  # steps of a probability: enough for the eye, a fraction of the bytes


@dataclass(frozen=True)
class Panel:
    """One picture of a test image on the page.

    Attributes:
        label: text under the picture.
        alt: description of the picture for screen readers.
        width, height: size in pixels.
        base: data URI of the picture.
        over: data URI of a transparent picture above `base`, or empty.
    """

    label: str
    alt: str
    width: int
    height: int
    base: str
    over: str = ""


def read(path: Path, mode: str, side: int) -> NDArray[np.uint8]:
    """Reads a picture and reduces it to at most `side` pixels.

    Args:
        path: path of the file.
        mode: "RGB", "L", or "index" for class indices, which are not interpolated.
        side: limit for the longest side of the output, in pixels.

    Raises:
        Missing: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            factor = min(1.0, side / max(image.size))
            width, height = (max(1, round(length * factor)) for length in image.size)
            if mode == "index":
                indices = image if image.mode in ("L", "P") else image.convert("L")
                return np.asarray(indices.resize((width, height), Image.Resampling.NEAREST), np.uint8)
            deep = image.mode.startswith("I")
            shown = Image.fromarray((np.asarray(image) // DEPTH_SCALE).astype(np.uint8)) if deep else image
            return np.asarray(shown.convert(mode).resize((width, height), Image.Resampling.BOX), np.uint8)
    except FileNotFoundError:
        raise Missing(f"{path} is gone.") from None
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise Missing(f"{path} cannot be read: {error}.") from None


def photograph(pixels: NDArray[np.uint8]) -> str:
    """Encodes pixels, [H, W] or [H, W, 3], as a data URI of a JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY, optimize=True)
    return _uri("jpeg", out)


def mask(indices: NDArray[np.uint8], classes: int, first: int = 1) -> str:
    """Encodes class indices, [H, W], as a data URI in the colors of the classes; ignored pixels are gray."""
    colors = class_colors(max(classes, 2), first)
    return _indexed(indices, {**dict(enumerate((*c, 255) for c in colors)), IGNORE: (*NOT_COUNTED, 255)})


def is_lettered(classes: int, first: int = 1) -> bool:
    """Whether there are so many classes that letters tell them apart, besides their colors."""
    return classes - first > _UNLETTERED


def letters(indices: NDArray[np.uint8], classes: int, first: int = 1) -> str:
    """Returns a picture with the letters of the classes in their largest regions, as a data URI.

    It is empty if there are so few classes that colors tell them apart.
    """
    if not is_lettered(classes, first):
        return ""
    height, width = indices.shape
    size = max(_LETTER * max(height, width), 6.0)
    depth = ndimage.distance_transform_edt(~_edges(indices))  # [H, W], from where another class begins
    parts = []
    for index in range(first, classes):
        regions, count = ndimage.label(indices == index)
        areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        largest = np.argsort(-areas, kind="stable")[:_LETTERED_REGIONS] + 1
        # The middle of a region may lie outside of it: the pixel that is farthest from its edge does not.
        for y, x in ndimage.maximum_position(depth, regions, largest) if count else ():
            if depth[y, x] >= size / 4:  # there is room for a letter
                parts.append(f'<text x="{x + 0.5}" y="{y + 0.5}">{class_letter(index, first)}</text>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">'
        f'<g font-family="sans-serif" font-weight="bold" font-size="{size:.1f}" text-anchor="middle"'
        f' dominant-baseline="central" fill="#fff" stroke="#000" stroke-width="{size / 5:.1f}"'
        f' stroke-linejoin="round" paint-order="stroke">{"".join(parts)}</g></svg>'
    )
    return _uri("svg+xml", io.BytesIO(svg.encode()))


def _edges(indices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels beside one of another class, or at the edge of the picture, [H, W]."""
    padded = np.pad(indices.astype(np.int16), 1, constant_values=-1)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.any([neighbor != indices for neighbor in around], axis=0)


def ramp(values: NDArray[np.uint8]) -> str:
    """Encodes gray values, [H, W], as a data URI with few gray levels."""
    steps = np.round(values.astype(np.float32) / 255 * (_GRAYS - 1)).astype(np.uint8)
    grays = {i: (round(255 * i / (_GRAYS - 1)),) * 3 + (255,) for i in range(_GRAYS)}
    return _indexed(steps, grays)


def errors(kinds: NDArray[np.uint8]) -> str:
    """Encodes kinds of error as a data URI of a transparent picture; correct pixels are fainter.

    Args:
        kinds: what `unet.evaluation.errors.kinds_of_error` returned, [H, W].
    """
    colors = {0: (0, 0, 0, 0)}
    for kind, color in ERROR_COLORS.items():
        colors[kind] = (*color, round(255 * (_RIGHT if kind == RIGHT else _WRONG)))
    return _indexed(kinds, colors)


def _indexed(indices: NDArray[np.uint8], colors: Mapping[int, Sequence[int]]) -> str:
    """Encodes an indexed PNG; the colors are red, green, blue and opacity."""
    used = np.unique(indices)
    table = np.zeros(256, np.uint8)
    table[used] = np.arange(len(used))
    image = Image.fromarray(table[indices]).convert("P")
    found = [colors.get(int(index), (*NOT_COUNTED, 255)) for index in used]
    image.putpalette([value for color in found for value in color[:3]])
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True, transparency=bytes(color[3] for color in found))
    return _uri("png", out)


def _uri(kind: str, out: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
