"""The boundary F1 score, which measures the accuracy of outlines.

Csurka, Larlus, Perronnin 2013, "What is a good evaluation measure for semantic segmentation?", BMVC:
precision is the share of the predicted boundary that lies within a distance of the true boundary, recall the
share of the true boundary within that distance of the predicted one, and the score their harmonic mean. In
the paper the distance is 0.75 % of the image's diagonal. Here it is a number of pixels for images of any
size, since the accuracy of annotated outlines depends on the object, not on the size of the image. (The
surface Dice of Nikolov et al. 2018, arXiv:1809.04430, has a fixed tolerance, too, in millimetres.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet.metrics.confusion import Floats

Mask = NDArray[np.bool_]


def boundary_counts(
    predicted: NDArray[np.uint8],
    ground_truth: NDArray[np.uint8],
    counted: Mask,
    classes: int,
    tolerance: int,
    first: int = 1,
) -> NDArray[np.int64]:
    """Pixel counts for the score of one image; the counts of several images add up.

    Args:
        predicted: predicted class of each pixel, [H, W].
        ground_truth: class of each pixel by the ground truth, [H, W].
        counted: whether each pixel counts, [H, W]; there is no boundary to pixels that do not.
        classes: number of classes.
        tolerance: largest distance between matching boundary pixels, in pixels.
        first: index of the first class that counts.

    Returns:
        Counts [classes - first, 4], for each class that counts: pixels of the predicted boundary, those of
        them near the true boundary, pixels of the true boundary, those of them near the predicted one.
    """
    rows = []
    for index in range(first, classes):
        found, real = (_outline(mask == index, counted) for mask in (predicted, ground_truth))
        rows.append(
            [found.sum(), (found & _near(real, tolerance)).sum(),
             real.sum(), (real & _near(found, tolerance)).sum()]
        )  # fmt: skip
    return np.array(rows, np.int64).reshape(classes - first, 4)


def boundary_f1(counts: NDArray) -> Floats:
    """The score of each class that counts, [..., K], from sums of counts [..., K, 4].

    NaN for a class without a boundary in ground truth and prediction; 0 if only one of them has a boundary.
    """
    found, found_met, real, real_met = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    precision = np.divide(found_met, found, out=np.zeros_like(found), where=found > 0)
    recall = np.divide(real_met, real, out=np.zeros_like(real), where=real > 0)
    total = precision + recall
    score = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.where(found + real > 0, score, np.nan)


def _outline(inside: Mask, counted: Mask) -> Mask:
    """Pixels of a class with at least one of four neighbours in another class; pixels of both must count."""
    inside, outside = inside & counted, ~inside & counted
    edge = np.zeros_like(inside)
    edge[1:] |= outside[:-1]
    edge[:-1] |= outside[1:]
    edge[:, 1:] |= outside[:, :-1]
    edge[:, :-1] |= outside[:, 1:]
    return edge & inside


def _near(mask: Mask, tolerance: int) -> Mask:
    """Pixels whose centres have at most the distance `tolerance` to the mask."""
    height, width = mask.shape
    near = np.zeros_like(mask)
    # Copies shifted over a disk are far faster than a distance transform for a few pixels of tolerance.
    for y in range(-min(tolerance, height - 1), min(tolerance, height - 1) + 1):
        reach = min(int(np.sqrt(tolerance**2 - y**2)), width - 1)
        to, of = slice(max(y, 0), height + min(y, 0)), slice(max(-y, 0), height + min(-y, 0))
        for x in range(-reach, reach + 1):
            near[to, max(x, 0) : width + min(x, 0)] |= mask[of, max(-x, 0) : width + min(-x, 0)]
    return near
