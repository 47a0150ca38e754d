"""The definition of every metric, in plain Python: one confusion matrix in, one number out.

The trainer's validation, the Evaluator and the commands all call these functions, so that the same masks
always get the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Confusion = NDArray[np.floating] | NDArray[np.integer]

LOWER_IS_BETTER = frozenset({"pixel_error"})
# Of components.segment_scores; optional, for they take a second an image.
SEGMENT_SCORES = ("v_rand", "v_info")


def iou(confusion: Confusion) -> NDArray[np.float64]:
    """Intersection over union (Jaccard index) of each class.

    Args:
        confusion: pixel counts, shape [classes, classes], row = truth, column = prediction.

    Returns:
        Shape [classes]; NaN for a class that neither the truth nor the prediction holds.
    """
    c = np.asarray(confusion, np.float64)
    hit = np.diag(c)
    union = c.sum(0) + c.sum(1) - hit
    return np.divide(hit, union, out=np.full_like(hit, np.nan), where=union > 0)


def dice(confusion: Confusion) -> NDArray[np.float64]:
    """Dice coefficient (F1 score) of each class; arguments and result as for `iou`."""
    c = np.asarray(confusion, np.float64)
    total = c.sum(0) + c.sum(1)
    return np.divide(2 * np.diag(c), total, out=np.full(len(c), np.nan), where=total > 0)


def pixel_error(confusion: Confusion) -> float:
    """Share of pixels whose class is wrong, 0 to 1; NaN without any pixel."""
    c = np.asarray(confusion, np.float64)
    return float(1 - np.trace(c) / c.sum()) if c.sum() > 0 else float("nan")


def metric_names(classes: Sequence[str]) -> list[str]:
    """Names of all metrics of `summarize`, in its order."""
    return [
        "foreground_iou",
        "mean_iou",
        "pixel_error",
        *(f"iou_{name}" for name in classes),
        *(f"dice_{name}" for name in classes),
    ]


def summarize(confusion: Confusion, classes: Sequence[str]) -> dict[str, float]:
    """All metrics of one confusion matrix.

    Args:
        confusion: pixel counts, shape [classes, classes], row = truth, column = prediction.
        classes: names; the first one is the background.

    Returns:
        `foreground_iou` is the mean IoU of all classes but the first, `mean_iou` that of all; classes that
        occur neither in truth nor in prediction do not count in either.
    """
    ious, dices = iou(confusion), dice(confusion)
    values = [_mean(ious[1:]), _mean(ious), pixel_error(confusion), *map(float, ious), *map(float, dices)]
    return dict(zip(metric_names(classes), values, strict=True))


def _mean(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
