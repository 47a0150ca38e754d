"""The names of all metrics, without NumPy, so that checking a configuration or printing a verdict is fast."""

from __future__ import annotations

from collections.abc import Sequence

LOWER_IS_BETTER = frozenset({"pixel_error", "ece"})
# The scores of unet.metrics.segments; they are optional, since they take a second per image.
SEGMENT_SCORES = ("v_rand", "v_info")
# Of unet.metrics.objects: the mean over the classes that count, and with _NAME those of each of them.
OBJECT_SCORES = ("object_f1", "object_ap", "panoptic_quality")
# Kinds of metrics of which each class that counts has one: KIND_NAME. A background has the first four.
CLASS_KINDS = ("iou", "dice", "precision", "recall", "boundary_f1", *OBJECT_SCORES)
# Pixels of a predicted object, as in Cellpose (Stringer et al. 2021, its `min_size`): less is mostly a speck.
MIN_OBJECT_SIZE = 15
WORST_DECILE = "foreground_iou_p10"  # tenth percentile of the images' foreground IoU


def goodness(name: str, value: float) -> float:
    """Turns a value of a metric so that higher is better: 1 minus it, where lower is better.

    Args:
        name: name of the metric, of those that are from 0 to 1.
        value: its value, or what this function returned for it, which gives the value back.
    """
    return 1 - value if name in LOWER_IS_BETTER else value


def metric_names(classes: Sequence[str]) -> list[str]:
    """Names of the metrics of `confusion.summarize`, in its order."""
    return [
        *("foreground_iou", "mean_iou", "foreground_dice", "mean_dice", "pixel_error"),
        *(f"{kind}_{name}" for kind in ("iou", "dice", "precision", "recall") for name in classes),
    ]


def gate_names(classes: Sequence[str], with_segment_scores: bool, first: int = 1) -> list[str]:
    """Names of all metrics of the Evaluator: those of a confusion matrix, and all others.

    Args:
        classes: class names.
        with_segment_scores: whether the scores of segments are measured.
        first: index of the first class that counts, see `unet.masks.background`.
    """
    return [
        *metric_names(classes),
        WORST_DECILE,
        "boundary_f1",
        *(f"boundary_f1_{name}" for name in classes[first:]),
        *OBJECT_SCORES,
        *(f"{kind}_{name}" for kind in OBJECT_SCORES for name in classes[first:]),
        "ece",
        *(SEGMENT_SCORES if with_segment_scores else ()),
    ]


def split_key(key: str, names: Sequence[str]) -> tuple[str, str]:
    """Metric and slice of a threshold `METRIC` or `METRIC@SLICE`; the metric is empty if it is not known."""
    # Compares with the known names, since the name of a class may contain an @, too.
    fitting = [name for name in names if key == name or key.startswith(f"{name}@")]
    metric = max(fitting, key=len, default="")
    return metric, key[len(metric) + 1 :] if metric else key
