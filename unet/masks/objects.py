"""Numbers the objects of a mask: connected parts, those that the mask numbers, and parts that are split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.masks.object_rule import ObjectRule


def predicted_objects(inside: NDArray[np.bool_], rule: ObjectRule) -> NDArray[np.int32]:
    """Numbers the objects of a predicted class from 1 on, [H, W]; 0 is everything else.

    Args:
        inside: whether each pixel is of the class, [H, W].
        rule: what counts as an object.
    """
    labels = split_touching(label_objects(inside), rule.split)
    if rule.min_size <= 1:
        return labels
    stays = np.bincount(labels.ravel()) >= rule.min_size
    stays[:1] = False  # the number of everything else
    numbers = np.where(stays, np.cumsum(stays, dtype=np.int32), 0).astype(np.int32)  # without gaps
    return numbers[labels]


def label_objects(
    inside: NDArray[np.bool_], instances: NDArray[np.uint16] | None = None
) -> NDArray[np.int32]:
    """Numbers objects from 1 on, [H, W]; 0 is everything else.

    Args:
        inside: whether each pixel is of an object, [H, W].
        instances: number of each pixel's object, 0 for none, [H, W]. Pixels inside without a number are
            4-connected parts: parts that meet at a corner are two. An object of several pieces is one object.
    """
    if instances is None or not (numbered := inside & (instances > 0)).any():
        return ndimage.label(inside)[0].astype(np.int32, copy=False)
    rest, count = ndimage.label(inside & ~numbered)
    present = np.zeros(int(instances.max()) + 1, np.int32)
    present[instances[numbered]] = 1
    number = np.where(present, count + np.cumsum(present, dtype=np.int32), 0)  # without gaps
    return np.where(numbered, number[instances], rest).astype(np.int32, copy=False)


def split_touching(labels: NDArray[np.int32], depth: float) -> NDArray[np.int32]:
    """Splits objects where they are narrow, as round objects are that touch, [H, W].

    The watershed of the distance to the object's edge, from its h-maxima (Soille 2003, "Morphological Image
    Analysis", chapters 6 and 9): each top of the distance that is higher by `depth` than the pass to a higher
    one is an object of its own. The time grows with the pixels of the boxes around objects.

    Args:
        labels: number of each pixel's object, [H, W], as `label_objects` returns it.
        depth: by how many pixels the radius of the narrow place must be smaller than the object's on both
            sides; 0 splits nothing.
    """
    if depth <= 0 or not labels.size:
        return labels
    # Takes a second to load, and few need it.
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    found, highest = labels.copy(), int(labels.max())
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or min(axis.stop - axis.start for axis in box) <= 2 * depth:
            continue  # it is nowhere as far from its edge
        # At the edge of the image an object ends, as far as anybody knows.
        distance = ndimage.distance_transform_edt(np.pad(labels[box] == number, 1))
        # skimage's `h_maxima` marks each top of a plateau that several share, this the plateau.
        tops = local_maxima(reconstruction(np.maximum(distance - depth, 0), distance))
        seeds, count = ndimage.label(tops, np.ones((3, 3)))
        if count > 1:
            parts = watershed(-distance, seeds, mask=distance > 0)[1:-1, 1:-1]
            found[box][parts > 1] = highest + parts[parts > 1] - 1
            highest += count - 1
    return found
