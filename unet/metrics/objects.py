"""Scores of objects: how many are found, and how well each found one is covered.

An object is a 4-connected part of one class; predicted ones may be split further, and small ones left out
(`ObjectRule`). Where the masks number the objects (class value "instances"), the true ones are those numbers,
so that objects that touch stay apart. A predicted object matches the true one of its class with which its IoU
is above a threshold of at least 1/2: there is at most one (Kirillov et al. 2019, "Panoptic Segmentation",
CVPR, section 4.1), so nothing has to be assigned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet.masks.object_rule import CONNECTED_PARTS, ObjectRule
from unet.masks.objects import label_objects, predicted_objects
from unet.metrics.confusion import Floats, ratio

# Of the 2018 Data Science Bowl: Caicedo et al. 2019, Nature Methods 16:1247.
IOUS = tuple(percent / 100 for percent in range(50, 100, 5))
TRUE, PREDICTED, SUM = range(3)  # places in the counts; the numbers of matches, by IoU, come after them
COUNTS = 3 + len(IOUS)
_BLOCK = 1 << 22  # pixels whose pairs of objects are counted at a time, which bounds the memory


def object_counts(
    predicted: NDArray[np.uint8],
    ground_truth: NDArray[np.uint8],
    counted: NDArray[np.bool_],
    classes: int,
    first: int = 1,
    instances: NDArray[np.uint16] | None = None,
    rule: ObjectRule = CONNECTED_PARTS,
) -> Floats:
    """Counts of one image; the counts of several images add up.

    The time grows with the number of pixels, of classes, and of pairs of objects that overlap.

    Args:
        predicted: predicted class of each pixel, [H, W].
        ground_truth: class of each pixel by the ground truth, [H, W].
        counted: whether each pixel counts, [H, W]; objects end where pixels do not.
        classes: number of classes.
        first: index of the first class that counts.
        instances: number of each pixel's true object, see `label_objects`.
        rule: what counts as a predicted object.

    Returns:
        Counts [classes - first, COUNTS], for each class that counts: true objects, predicted objects, the sum
        of the IoU of those that match above 1/2, and how many match above each of `IOUS`.
    """
    rows = []
    for index in range(first, classes):
        found, real = (counted & (mask == index) for mask in (predicted, ground_truth))
        rows.append(_counts(predicted_objects(found, rule), label_objects(real, instances)))
    return np.array(rows, np.float64).reshape(classes - first, COUNTS)


def _counts(predicted: NDArray[np.int32], ground_truth: NDArray[np.int32]) -> Floats:
    """Counts of two images of object numbers, [H, W] each, in the order of `object_counts`."""
    areas, real_areas = (np.bincount(labels.ravel()) for labels in (predicted, ground_truth))
    pairs, common = _overlaps(predicted.ravel(), ground_truth.ravel(), len(real_areas))
    i, j = np.divmod(pairs, len(real_areas))
    overlap = common / (areas[i] + real_areas[j] - common)
    matched = overlap[overlap > IOUS[0]]
    each = [np.count_nonzero(matched > threshold) for threshold in IOUS]
    return np.array([len(real_areas) - 1, len(areas) - 1, matched.sum(), *each], np.float64)


def _overlaps(
    predicted: NDArray[np.int32], ground_truth: NDArray[np.int32], base: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of objects with common pixels as predicted * base + true, and the number of these pixels."""
    pairs, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(predicted), _BLOCK):
        i, j = predicted[start : start + _BLOCK], ground_truth[start : start + _BLOCK]
        both = (i > 0) & (j > 0)
        found, number = np.unique(i[both].astype(np.int64) * base + j[both], return_counts=True)
        pairs.append(found)
        counts.append(number)
    every, place = np.unique(np.concatenate(pairs), return_inverse=True)
    return every, np.bincount(place, np.concatenate(counts), len(every)).astype(np.int64)


def scores(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """The scores of sums of counts [..., COUNTS], [...] each, in the order of `names.OBJECT_SCORES`.

    - `object_f1`: 2 matches / (true + predicted) above an IoU of 1/2, the "recognition quality" of Kirillov
      et al.
    - `object_ap`: the mean over `IOUS` of matches / (true + predicted - matches), average precision as in the
      2018 Data Science Bowl and of Cellpose (Stringer et al. 2021), here of the objects of all images
      together. That of COCO, which sorts objects by a confidence, is another.
    - `panoptic_quality`: the F1 times the mean IoU of the matches (Kirillov et al., equation 1).

    All are NaN without any object in ground truth and prediction.
    """
    both, matches = counts[..., TRUE] + counts[..., PREDICTED], counts[..., SUM + 1 :]
    f1, quality = ratio(2 * matches[..., 0], both), ratio(2 * counts[..., SUM], both)
    return f1, ratio(matches, both[..., None] - matches).mean(-1), quality
