"""The objects of a predicted mask, numbered and measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.masks.object_rule import CONNECTED_PARTS, ObjectRule
from unet.masks.objects import predicted_objects

COLUMNS = (
    *("object", "class", "area", "x", "y", "left", "top", "width", "height"),
    *("perimeter", "eccentricity"),
)


def number_objects(
    indices: NDArray[np.uint8], classes: int, first: int = 1, rule: ObjectRule = CONNECTED_PARTS
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Numbers the objects of all classes that count, those of the first such class before the others.

    Args:
        indices: class of each pixel, [H, W].
        classes: number of classes.
        first: index of the first class that counts.
        rule: what counts as an object.

    Returns:
        Number of each pixel's object, [H, W], 0 for none; and the class of each object, [objects + 1].
    """
    numbers = np.zeros(indices.shape, np.int32)
    classes_of = [np.zeros(1, np.uint8)]
    count = 0
    for index in range(first, classes):
        labels = predicted_objects(indices == index, rule)
        highest = int(labels.max(initial=0))
        numbers += np.where(labels > 0, labels + count, 0)
        classes_of.append(np.full(highest, index, np.uint8))
        count += highest
    return numbers, np.concatenate(classes_of)


def object_rows(
    numbers: NDArray[np.int32], classes_of: NDArray[np.uint8], classes: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yields the values of `COLUMNS` for each object.

    Areas are in pixels, lengths in their sides; `x` and `y`, the center, and the box are counted to the right
    and down from the top left corner of the image: the center of its first pixel is (0.5, 0.5). The perimeter
    is an estimate, as pixels have steps; the eccentricity is that of the ellipse of the same moments, from 0
    for a circle to 1 for a line.

    Args:
        numbers: number of each pixel's object, [H, W], as of `number_objects`.
        classes_of: class of each object.
        classes: class names.
    """
    from skimage.measure import regionprops  # takes a second to load, and few need it

    for found in regionprops(numbers):
        top, left, bottom, right = found.bbox
        y, x = (float(value) + 0.5 for value in found.centroid)
        yield (
            found.label,
            classes[classes_of[found.label]],
            int(found.area),
            *(round(value, 2) for value in (x, y)),
            *(left, top, right - left, bottom - top),
            round(float(found.perimeter), 2),
            round(float(found.eccentricity), 4),
        )
