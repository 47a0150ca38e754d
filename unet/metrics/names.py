"""The names of all metrics; no NumPy is needed to check a configuration or to print a verdict."""

from __future__ import annotations

from collections.abc import Sequence

LOWER_IS_BETTER = frozenset({"pixel_error", "ece"})
# Of unet.metrics.segments; optional, for they take a second an image.
SEGMENT_SCORES = ("v_rand", "v_info")
WORST_DECILE = "foreground_iou_p10"  # a tenth of the images have less than this foreground IoU


def metric_names(classes: Sequence[str]) -> list[str]:
    """Names of the metrics of `metrics.summarize`, in its order."""
    return [
        *("foreground_iou", "mean_iou", "foreground_dice", "mean_dice", "pixel_error"),
        *(f"{kind}_{name}" for kind in ("iou", "dice", "precision", "recall") for name in classes),
    ]


def gate_names(classes: Sequence[str], with_segment_scores: bool) -> list[str]:
    """Names of all metrics of the Evaluator: those of a confusion matrix, and those of its neighbours."""
    return [
        *metric_names(classes),
        WORST_DECILE,
        "boundary_f1",
        *(f"boundary_f1_{name}" for name in classes[1:]),
        "ece",
        *(SEGMENT_SCORES if with_segment_scores else ()),
    ]


def split_key(key: str, names: Sequence[str]) -> tuple[str, str]:
    """Metric and slice of a threshold `METRIC` or `METRIC@SLICE`; the metric is empty if there is none."""
    # By the known names: those of classes may hold anything, an @ too.
    fitting = [name for name in names if key == name or key.startswith(f"{name}@")]
    metric = max(fitting, key=len, default="")
    return metric, key[len(metric) + 1 :] if metric else key
