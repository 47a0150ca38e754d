"""From mask files to classes and objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet.images.formats import read_raster
from unet.images.raster import ImageError
from unet.images.reader import MAX_PIXELS
from unet.masks import advice
from unet.masks.labels import IGNORE, INSTANCES, LabelMap
from unet.masks.values import MaskStats, color_of, number_of, values_and_stats

_TABLE = 1 << 24  # values up to which a table looks up the class: all colours are below it
_BLOCK = 1 << 20
_OBJECTS = 65535  # of an image, as many as 16 bits can number


@dataclass(frozen=True)
class Mask:
    """A mask by classes.

    Attributes:
        indices: uint8 [H, W], index of the class of each pixel, or `IGNORE`.
        instances: uint16 [H, W], number of the object of each pixel of a class of instances, else 0; None
            where no class is one of instances. The numbers are those of the file where they fit.
    """

    indices: NDArray[np.uint8]
    instances: NDArray[np.uint16] | None


def read_mask_stats(source: str | Path | bytes, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> MaskStats:
    """Reads a mask completely and counts its values; arguments and errors as for `images.read_image`."""
    return values_and_stats(read_raster(source, page, max_pixels))[1]


def count_classes(mask_stats: MaskStats, label_map: LabelMap) -> tuple[dict[str, int], int]:
    """Pixels of each class by its name, and ignored pixels.

    Raises:
        ImageError: the mask holds values of no class.
    """
    pixels = Counter[int]()
    for value, index in _indices_of(mask_stats, label_map).items():
        pixels[index] += mask_stats.counts[value]
    return {name: pixels[index] for index, name in enumerate(label_map.classes)}, pixels[IGNORE]


def read_mask(
    source: str | Path | bytes, label_map: LabelMap, *, page: int = 0, max_pixels: int = MAX_PIXELS
) -> Mask:
    """Reads a mask as class indices.

    Grey values are taken as stored, palette images by index, or by colour for a legend in colour. Values of
    fewer than 8 bits count as stored if all class values fit into them, else scaled to 0..255: a 1-bit mask
    serves {0, 1} and {0, 255}. An indexed mask whose indices are not declared, but whose grey colours are,
    counts by those: PNG optimisers turn a few grey values into a palette.

    Args:
        source: path or content of a file as in `images.read_image`.
        label_map: what its values mean.
        page: of a multi-page TIFF.
        max_pixels: larger masks are refused before they are decoded.

    Raises:
        ImageError: as in `images.read_image`, or the mask holds values of no class.
    """
    values, mask_stats = values_and_stats(read_raster(source, page, max_pixels))
    index_of = _indices_of(mask_stats, label_map)
    indices = _look_up(values, index_of, np.uint8)
    if INSTANCES not in label_map.classes.values():
        return Mask(indices, None)
    index = list(label_map.classes.values()).index(INSTANCES)
    objects = [value for value in sorted(index_of) if index_of[value] == index]
    # Label images of 32 bits are common, and most of them number few objects.
    anew = bool(objects) and (objects[0] == 0 or objects[-1] > _OBJECTS)
    number_of_object = dict.fromkeys(index_of, 0)
    number_of_object.update(zip(objects, range(1, len(objects) + 1) if anew else objects, strict=True))
    return Mask(indices, _look_up(values, number_of_object, np.uint16))


def _look_up(values: np.ndarray, meaning: Mapping[int, int], dtype: type) -> np.ndarray:
    """What each value means; `meaning` knows all of them."""
    known: np.ndarray = np.array(sorted(meaning), values.dtype)
    codes: np.ndarray = np.array([meaning[int(value)] for value in known], dtype)
    table: np.ndarray | None = None
    if int(known[-1]) < _TABLE:
        table = np.zeros(int(known[-1]) + 1, dtype)
        table[known] = codes
    found: np.ndarray = np.empty(values.shape, dtype)
    rows = max(1, _BLOCK // values.shape[1])
    for start in range(0, len(values), rows):  # looking up makes 64 bits of each value: a part at a time
        part = values[start : start + rows]
        found[start : start + rows] = codes[np.searchsorted(known, part)] if table is None else table[part]
    return found


def _indices_of(mask_stats: MaskStats, label_map: LabelMap) -> dict[int, int]:
    """Index of the class, or `IGNORE`, of each value in a mask; raises `ImageError` for values of none."""
    declared = dict(zip(label_map.classes.values(), range(len(label_map.classes)), strict=True))
    if label_map.ignore is not None:
        declared[label_map.ignore] = IGNORE
    objects = declared.pop(INSTANCES, None)
    numbers = {int(v[1:], 16) if isinstance(v, str) else v: index for v, index in declared.items()}
    if label_map.in_color:
        meaning = {value: color_of(mask_stats, value) for value in mask_stats.counts}
    elif mask_stats.kind == "colour":
        raise advice.in_color(mask_stats)
    else:
        meaning = {value: number_of(mask_stats, value, max(numbers)) for value in mask_stats.counts}
        grays = {value: color_of(mask_stats, value) & 255 for value in mask_stats.counts}
        is_grayscale = all(color_of(mask_stats, v) == gray * 0x010101 for v, gray in grays.items())
        undeclared = objects is None and not numbers.keys() >= meaning.keys()
        if (
            mask_stats.kind == "palette"
            and undeclared
            and is_grayscale
            and numbers.keys() >= set(grays.values())
        ):
            meaning = grays
    if label_map.mask_values == "nearest":
        known = np.array(list(numbers))
        return {
            v: numbers[int(known[_distance(known, m, label_map.in_color).argmin()])]
            for v, m in meaning.items()
        }
    indices = {value: numbers.get(m, objects) for value, m in meaning.items()}
    if wrong := [value for value, index in indices.items() if index is None]:
        counts = {meaning[value]: mask_stats.counts[value] for value in wrong}
        raise advice.undeclared(mask_stats, label_map, counts)
    many = sum(index == objects for index in indices.values())
    if objects is not None and many > _OBJECTS:
        raise ImageError(f"{many} objects in a mask, more than {_OBJECTS}", "cut the image into parts")
    return {value: index for value, index in indices.items() if index is not None}


def _distance(known: np.ndarray, value: int, in_color: bool) -> np.ndarray:
    if not in_color:
        return abs(known - value)
    shifts = np.array([16, 8, 0])
    return (((known[:, None] >> shifts & 255) - (value >> shifts & 255)) ** 2).sum(-1)
