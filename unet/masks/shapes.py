"""Measures how the values of a mask lie in it: in one piece or many, compact, or as thin as an outline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.images.formats import read_raster
from unet.masks.values import values_and_stats

MEASURED = 256  # largest number of values that are measured in a mask
_CLASSES = 20  # more values than this in a mask are objects even if there is only one mask
_FEW = 4  # numbers in a mask, below which they may as well be classes
_CROP = 2048  # side in pixels of the measured part


@dataclass(frozen=True)
class Shape:
    """How the pixels of one value lie in a mask.

    Attributes:
        pixels: number of pixels.
        largest: share of them in the largest piece.
        fill: share of that piece's bounding box that it fills.
        core: share of the pixels with nothing but the value within three pixels; 0 for an outline.
    """

    pixels: int
    largest: float
    fill: float
    core: float

    @property
    def is_object(self) -> bool:
        """Whether the value is one compact piece."""
        return self.largest > 0.9 and self.fill > 0.3


def measure_file(path: Path, page: int, max_pixels: int) -> dict[int, Shape]:
    """Measures the values of a mask file, by value as stored."""
    return measure(values_and_stats(read_raster(path, page, max_pixels))[0])


def measure(values: NDArray[np.integer]) -> dict[int, Shape]:
    """Measures the values in the center of a mask, [H, W] of integers; empty if they are too many."""
    top, left = (max(0, (side - _CROP) // 2) for side in values.shape)
    values = values[top : top + _CROP, left : left + _CROP]
    found, numbered = np.unique(values, return_inverse=True)
    if len(found) > MEASURED:
        return {}
    boxes = ndimage.find_objects(numbered.reshape(values.shape) + 1)
    return {int(value): _shape(values[box] == value) for value, box in zip(found, boxes, strict=True)}


def is_thin(value: int, shapes: Sequence[Mapping[int, Shape]]) -> bool:
    """Whether a value occurs in lines of a few pixels only; False if it was measured nowhere."""
    there = [mask[value] for mask in shapes if value in mask]
    pixels = sum(shape.pixels for shape in there)
    return bool(there) and sum(shape.core * shape.pixels for shape in there) < 0.05 * pixels


def are_objects(shapes: Sequence[Mapping[int, Shape]]) -> bool:
    """Whether masks number objects: many compact values of one piece each, other ones in each image."""
    numbers = [{value: shape for value, shape in mask.items() if value} for mask in shapes]
    numbers = [mask for mask in numbers if mask]
    if not numbers or not all(0 in mask for mask in shapes):
        return False
    objects = [shape.is_object for mask in numbers for shape in mask.values()]
    many = statistics.median(map(len, numbers))
    varying = len({frozenset(mask) for mask in numbers}) > 1 or many > _CLASSES
    return varying and many >= _FEW and sum(objects) >= 0.8 * len(objects)


def _shape(where: NDArray[np.bool_]) -> Shape:
    pixels = int(where.sum())
    pieces, _ = ndimage.label(where, np.ones((3, 3)))
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    largest = int(sizes.argmax())
    [box] = ndimage.find_objects((pieces == largest).astype(np.int8))
    core = ndimage.binary_erosion(where, np.ones((7, 7))).sum()
    fill = sizes[largest] / pieces[box].size
    return Shape(pixels, float(sizes[largest] / pixels), float(fill), float(core / pixels))
