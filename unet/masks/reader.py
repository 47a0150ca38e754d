"""Reads mask files as class indices and object numbers."""

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

_TABLE = 1 << 24  # values below this bound, and so all colours, are looked up in a table
_BLOCK = 1 << 20  # values that are looked up at a time
_OBJECTS = 65535  # largest number of objects in an image: 16 bits can number no more


@dataclass(frozen=True)
class Mask:
    """A mask as class indices and object numbers.

    Attributes:
        indices: class index of each pixel, or `IGNORE`, uint8 [H, W].
        instances: object number of each pixel of the class of instances, else 0, uint16 [H, W]; None without
            such a class. The numbers are those of the file if they fit into 16 bits.
    """

    indices: NDArray[np.uint8]
    instances: NDArray[np.uint16] | None


def read_mask_stats(source: str | Path | bytes, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> MaskStats:
    """Reads a mask and counts its values; arguments and errors as for `unet.images.reader.read_image`."""
    return values_and_stats(read_raster(source, page, max_pixels))[1]


def count_classes(mask_stats: MaskStats, label_map: LabelMap) -> tuple[dict[str, int], int]:
    """Number of pixels of each class by name, and number of ignored pixels.

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

    Grey values are taken as stored, palette images by index, or by colour for a label map in colour. Values
    of fewer than 8 bits are taken as stored if all class values fit into them, else scaled to 0..255: a 1-bit
    mask fits the classes {0, 1} and {0, 255}. A palette image whose indices are not declared, but whose grey
    colours are, is read by its colours: PNG optimisers turn a few grey values into a palette.

    Args:
        source: path or content of a file as for `unet.images.reader.read_image`.
        label_map: meaning of the values in the mask.
        page: number of the page of a multi-page TIFF.
        max_pixels: larger masks are refused before they are decoded.

    Raises:
        ImageError: the file cannot be read or is damaged, or the mask holds values of no class.
    """
    values, mask_stats = values_and_stats(read_raster(source, page, max_pixels))
    index_of = _indices_of(mask_stats, label_map)
    indices = _look_up(values, index_of, np.uint8)
    if INSTANCES not in label_map.classes.values():
        return Mask(indices, None)
    index = list(label_map.classes.values()).index(INSTANCES)
    objects = [value for value in sorted(index_of) if index_of[value] == index]
    # Label images of 32 bits are common, but most hold few objects: large numbers are replaced by 1, 2, ...
    anew = bool(objects) and (objects[0] == 0 or objects[-1] > _OBJECTS)
    number_of_object = dict.fromkeys(index_of, 0)
    number_of_object.update(zip(objects, range(1, len(objects) + 1) if anew else objects, strict=True))
    return Mask(indices, _look_up(values, number_of_object, np.uint16))


def _look_up(values: np.ndarray, meaning: Mapping[int, int], dtype: type) -> np.ndarray:
    """Replaces each value by its entry in `meaning`, which has all values."""
    known: np.ndarray = np.array(sorted(meaning), values.dtype)
    codes: np.ndarray = np.array([meaning[int(value)] for value in known], dtype)
    table: np.ndarray | None = None
    if int(known[-1]) < _TABLE:
        table = np.zeros(int(known[-1]) + 1, dtype)
        table[known] = codes
    found: np.ndarray = np.empty(values.shape, dtype)
    rows = max(1, _BLOCK // values.shape[1])
    for start in range(0, len(values), rows):  # in blocks, since the look-up makes 64-bit copies of values
        part = values[start : start + rows]
        found[start : start + rows] = codes[np.searchsorted(known, part)] if table is None else table[part]
    return found


def _indices_of(mask_stats: MaskStats, label_map: LabelMap) -> dict[int, int]:
    """Class index, or `IGNORE`, of each value in a mask; raises `ImageError` for values of no class."""
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
