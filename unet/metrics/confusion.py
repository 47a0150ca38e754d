"""The definition of every metric of a confusion matrix.

The trainer's validation, the Evaluator, the report and the commands call these functions, so that the same
masks always get the same numbers. They work on many matrices at once, as the bootstrap needs it. Neighbours:
`unet.metrics.boundary`, `unet.metrics.calibration`, `unet.metrics.segments`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unet.metrics.names import metric_names

Floats = NDArray[np.float64]


def iou(confusion: ArrayLike) -> Floats:
    """Intersection over union (Jaccard index) of each class.

    Args:
        confusion: pixel counts, shape [..., classes, classes], row = truth, column = prediction.

    Returns:
        Shape [..., classes]; NaN for a class that neither the truth nor the prediction holds.
    """
    intersection, ground_truth, predicted = _counts(confusion)
    return ratio(intersection, ground_truth + predicted - intersection)


def dice(confusion: ArrayLike) -> Floats:
    """Dice coefficient (F1 score) of each class; arguments and result as for `iou`."""
    intersection, ground_truth, predicted = _counts(confusion)
    return ratio(2 * intersection, ground_truth + predicted)


def precision(confusion: ArrayLike) -> Floats:
    """Share of what was taken for a class that is of it; as `iou`, NaN where nothing was taken for it."""
    intersection, _, predicted = _counts(confusion)
    return ratio(intersection, predicted)


def recall(confusion: ArrayLike) -> Floats:
    """Share of a class that was found; as `iou`, NaN where the truth does not hold it."""
    intersection, ground_truth, _ = _counts(confusion)
    return ratio(intersection, ground_truth)


def pixel_error(confusion: ArrayLike) -> Floats:
    """Share of pixels whose class is wrong, 0 to 1, shape [...]; NaN without any pixel."""
    intersection, ground_truth, _ = _counts(confusion)
    return 1 - ratio(intersection.sum(-1), ground_truth.sum(-1))


def summarize(confusion: ArrayLike, classes: Sequence[str]) -> dict[str, float]:
    """All metrics of one confusion matrix.

    Args:
        confusion: pixel counts, shape [classes, classes], row = truth, column = prediction.
        classes: names; the first one is the background.

    Returns:
        `foreground_iou` is the mean IoU of all classes but the first, `mean_iou` that of all; classes that
        occur neither in truth nor in prediction do not count in either. Likewise with Dice.
    """
    return {name: float(value) for name, value in summarize_each(confusion, classes).items()}


def summarize_each(confusion: ArrayLike, classes: Sequence[str]) -> dict[str, Floats]:
    """As `summarize`, of many confusion matrices [..., classes, classes]: values [...] by name."""
    by_class = [function(confusion) for function in (iou, dice, precision, recall)]
    means = [mean(values) for kind in by_class[:2] for values in (kind[..., 1:], kind)]
    each = [kind[..., i] for kind in by_class for i in range(len(classes))]
    values = [*means, pixel_error(confusion), *each]
    return dict(zip(metric_names(classes), values, strict=True))


def mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0).sum(-1), there.sum(-1))


def _counts(confusion: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """[..., classes] pixels of each class: found and right, in the truth, in the prediction."""
    c = np.asarray(confusion, np.float64)
    return np.diagonal(c, axis1=-2, axis2=-1), c.sum(-1), c.sum(-2)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Their quotient, of one shape; NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
