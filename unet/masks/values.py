"""The values in a mask file, independent of a label map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PILImage

from unet.images.raster import ImageError, Raster

_COLORS = 1 << 16  # largest number of colours in a mask, reached by blurred masks
# Largest number of values in a mask: more than classes and objects, which 16 bits number, can have together.
_VALUES = 1 << 17


@dataclass(frozen=True)
class MaskStats:
    """Statistics of the values in a mask file, independent of a label map.

    Attributes:
        kind: grey, palette or colour; a file of three equal channels is grey.
        height, width: size in pixels.
        depth: bits per value.
        format: format of the file, as in `Raster`.
        counts: number of pixels of each value: a grey value or an index as stored, or 0xRRGGBB.
        palette: 0xRRGGBB of each index, or empty.
        white_is_zero: whether the file has one bit per value and shows 0 as white; its values are then
            inverted, so that 0 is black.
    """

    kind: str
    height: int
    width: int
    depth: int
    format: str
    counts: dict[int, int]
    palette: list[int]
    white_is_zero: bool = False

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> MaskStats:
        """Restores statistics from `dataclasses.asdict`, also after JSON turned the keys into strings."""
        return cls(**{**fields, "counts": {int(value): n for value, n in fields["counts"].items()}})


def values_and_stats(raster: Raster) -> tuple[np.ndarray, MaskStats]:
    """The values of a mask, [H, W] of integers, and their statistics."""
    if raster.separate:
        raise ImageError(
            f"a {raster.format} of {raster.pixels.shape[-1]} channels",
            "keep the one that holds the classes; or save slices as slices",
        )
    pixels, kind = raster.pixels, "grey" if raster.palette is None else "palette"
    if pixels.dtype.kind == "f":
        if bad := int(pixels.size - np.isfinite(pixels).sum()):
            raise ImageError(
                f"a mask with {bad} pixels of NaN or infinity", "give each the number of its class"
            )
        if not (pixels == np.rint(pixels)).all():
            raise ImageError(
                "a mask of fractions", "save the value of a class in each pixel, as a whole number"
            )
        pixels = pixels.astype(np.int64)
    if pixels.dtype.kind == "i" and pixels.min() < 0:
        raise ImageError(f"a mask of negative values, down to {pixels.min()}", "use values from 0")
    # Numbers are taken as stored, whether the file shows 0 as black or white. But in files of one bit the
    # choice is arbitrary, as with the compressions of scanners.
    inverted = raster.white_is_zero and raster.depth == 1
    if inverted:
        pixels = 1 - pixels
    height, width = pixels.shape[:2]
    if pixels.shape[-1] == 3 and not (pixels == pixels[..., :1]).all():
        if pixels.dtype != np.uint8:
            raise ImageError("a mask in colours of 16 bits", "save it with 8 bits a channel")
        kind = "colour"
        colors = PILImage.fromarray(pixels).getcolors(_COLORS)
        if colors is None:
            raise ImageError(
                f"a mask of more than {_COLORS} colours", "it may be an image: save the mask as PNG"
            )
        counts = {r << 16 | g << 8 | b: n for n, (r, g, b) in colors}  # type: ignore[misc]
        red, green, blue = (pixels[..., i].astype(np.uint32) for i in range(3))
        values = red << 16 | green << 8 | blue
    else:
        values = np.ascontiguousarray(pixels[..., 0])
        counts = count_values(values)
    palette = [] if raster.palette is None else [r << 16 | g << 8 | b for r, g, b in raster.palette.tolist()]
    found = MaskStats(kind, height, width, raster.depth, raster.format, counts, palette, inverted)
    return values, found


def count_values(values: np.ndarray) -> dict[int, int]:
    """Number of pixels of each value that occurs in [H, W] of integers.

    Raises:
        ImageError: there are more values than a mask can have.
    """
    # Most masks hold two values, and comparisons are many times as fast as any histogram of long runs.
    extremes = {int(v): int(np.count_nonzero(values == v)) for v in (values.min(), values.max())}
    if sum(extremes.values()) == values.size:
        return extremes
    if values.dtype == np.uint8:
        counts = np.array(PILImage.fromarray(values).histogram())
    elif values.dtype == np.uint16:
        counts = np.bincount(values.reshape(-1))
    else:
        found, counts = np.unique(values, return_counts=True)
        if len(found) > _VALUES:  # before they become a dictionary of gigabytes
            raise ImageError(
                f"a mask of more than {_VALUES} values", "it may be an image; or cut it into parts"
            )
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    present = np.flatnonzero(counts)
    return dict(zip(present.tolist(), counts[present].tolist(), strict=True))


def number_of(mask_stats: MaskStats, value: int, highest: int) -> int:
    """Scales a stored grey value for a label map whose highest value is `highest`."""
    if mask_stats.depth < 8 and mask_stats.kind == "grey" and (mask_stats.depth == 1 or highest < 256):
        return value if highest < 1 << mask_stats.depth else value * (255 // ((1 << mask_stats.depth) - 1))
    return value


def color_of(mask_stats: MaskStats, value: int) -> int:
    """Colour of a stored value, 0xRRGGBB."""
    if mask_stats.kind == "palette":
        return mask_stats.palette[value] if value < len(mask_stats.palette) else 0
    if mask_stats.kind == "colour":
        return value
    return min(number_of(mask_stats, value, 255), 255) * 0x010101
