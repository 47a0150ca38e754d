"""The metrics of a confusion matrix: IoU, Dice, precision, recall and pixel error.

The trainer's validation, the Evaluator, the report and the commands call these functions, so that equal
masks always get equal values. They accept many matrices at once, as the bootstrap requires.

The pixels are counted elsewhere: of test images by the signature `evaluate` of the exported model
(`unet.export.signatures`), of eval images by `unet.training.validation`. For other metrics see
`unet.metrics.boundary`, `unet.metrics.calibration` and `unet.metrics.segments`.
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
        confusion: pixel counts, shape [..., classes, classes], row = ground truth, column = prediction.

    Returns:
        IoU of each class, shape [..., classes]; NaN for a class in neither ground truth nor prediction.
    """
    intersection, ground_truth, predicted = _counts(confusion)
    return ratio(intersection, ground_truth + predicted - intersection)


def dice(confusion: ArrayLike) -> Floats:
    """Dice coefficient (F1 score) of each class; same arguments, shapes and NaN as `iou`."""
    intersection, ground_truth, predicted = _counts(confusion)
    return ratio(2 * intersection, ground_truth + predicted)


def precision(confusion: ArrayLike) -> Floats:
    """Share of the pixels predicted as a class that belong to it; NaN for a class that is never predicted."""
    intersection, _, predicted = _counts(confusion)
    return ratio(intersection, predicted)


def recall(confusion: ArrayLike) -> Floats:
    """Share of a class's pixels that are predicted as it; NaN for a class not in the ground truth."""
    intersection, ground_truth, _ = _counts(confusion)
    return ratio(intersection, ground_truth)


def pixel_error(confusion: ArrayLike) -> Floats:
    """Share of pixels whose class is wrong, 0 to 1, shape [...]; NaN without any pixel."""
    intersection, ground_truth, _ = _counts(confusion)
    return 1 - ratio(intersection.sum(-1), ground_truth.sum(-1))


def summarize(confusion: ArrayLike, classes: Sequence[str], first: int = 1) -> dict[str, float]:
    """All metrics of one confusion matrix.

    Args:
        confusion: pixel counts, shape [classes, classes], row = ground truth, column = prediction.
        classes: class names.
        first: index of the first class that counts: 1 after a background, 0 without one.

    Returns:
        Values by name. `foreground_iou` is the mean IoU of the classes that count, `mean_iou` the mean of
        all classes, both without classes in neither ground truth nor prediction. Dice has the same means.
    """
    return {name: float(value) for name, value in summarize_each(confusion, classes, first).items()}


def summarize_each(confusion: ArrayLike, classes: Sequence[str], first: int = 1) -> dict[str, Floats]:
    """All metrics of many confusion matrices [..., classes, classes]: values [...] by name."""
    by_class = [function(confusion) for function in (iou, dice, precision, recall)]
    means = [mean(values) for kind in by_class[:2] for values in (kind[..., first:], kind)]
    each = [kind[..., i] for kind in by_class for i in range(len(classes))]
    values = [*means, pixel_error(confusion), *each]
    return dict(zip(metric_names(classes), values, strict=True))


def mean(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN if all values are NaN."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0).sum(-1), there.sum(-1))


def _counts(confusion: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Pixels of each class, [..., classes] each: correctly predicted, in the ground truth, predicted."""
    c = np.asarray(confusion, np.float64)
    return np.diagonal(c, axis1=-2, axis2=-1), c.sum(-1), c.sum(-2)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Quotient part / whole of arrays of one shape; NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
