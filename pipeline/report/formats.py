"""Formats numbers, times and names for readers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.config.profile import toml_value
from pipeline.history import record

NONE = "–"
_NAMES = {
    "foreground_iou": "Foreground IoU",
    "mean_iou": "Mean IoU",
    "pixel_error": "Pixel error",
    "foreground_dice": "Foreground Dice",
    "mean_dice": "Mean Dice",
    "foreground_iou_p10": "Foreground IoU, 10th percentile",
    "boundary_f1": "Boundary F1",
    "object_f1": "Object F1",
    "object_ap": "Object AP",
    "panoptic_quality": "Panoptic quality",
    "ece": "Calibration error",
    "v_rand": "V_rand",
    "v_info": "V_info",
}
_KINDS = {
    **{"iou": "IoU", "dice": "Dice", "precision": "Precision", "recall": "Recall"},
    "object_ap": "Object AP",
}


def setting(value: Any) -> str:
    """Formats a setting as users write it."""
    return "not set" if value is None else toml_value(value)


def finite(value: Any) -> float | None:
    """Converts a value to a float; None for NaN, infinite values and everything that is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: Any, digits: int = 3) -> str:
    """Formats a number with `digits` digits after the point, or as a dash."""
    known = finite(value)
    return NONE if known is None else f"{known:.{digits}f}"


def signed(value: Any, digits: int = 3) -> str:
    """Formats a difference with its sign; the minus is the typographic one."""
    known = finite(value)
    if known is None:
        return NONE
    text = f"{known:+.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def short(value: Any) -> str:
    """Formats a number of any size with four significant digits, or as a dash."""
    known = finite(value)
    return NONE if known is None else f"{known:.4g}"


def percent(value: Any) -> str:
    """Formats a share, 0 to 1, as a percentage."""
    known = finite(value)
    return NONE if known is None else f"{100 * known:.1f} %"


def format_interval(low: Any, high: Any) -> str:
    """Formats a 95 % interval, or a dash."""
    return (
        NONE if finite(low) is None or finite(high) is None else f"{low:.3f} to {high:.3f}".replace("-", "−")
    )


def sentence(text: str) -> str:
    """Makes a text a sentence: a capital letter at the start, a full stop at the end."""
    text = text.strip()
    if text.partition(" ")[0].isalpha():  # identifiers stay as they are
        text = text[:1].upper() + text[1:]
    return text + ("." if text and text[-1] not in ".!?:" else "")


def count(value: int, noun: str) -> str:
    """Formats a number with its noun, in the plural if needed."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def megabytes(value: Any) -> str:
    """Formats megabytes as "1.6 GB"; a dash for 0, which means not known."""
    known = finite(value)
    if not known:
        return NONE
    return f"{known / 1000:.1f} GB" if known >= 1000 else f"{known:.0f} MB"


def format_moment(text: str) -> str:
    """Formats an ISO time as "25 November 2026, 00:45 UTC+01:00"; returns any other text unchanged."""
    when = record.moment(text)
    return f"{when.day} {when:%B %Y, %H:%M %Z}".rstrip() if when else text


def metric(name: str, classes: Sequence[str] = ()) -> str:
    """Returns the display name of a metric."""
    if name in _NAMES:
        return _NAMES[name]
    kind, of = split_metric(name, classes)
    return f"{_kind(kind)}, {of}" if of else _kind(name)


def _kind(name: str) -> str:
    words = name.replace("_", " ").replace("iou", "IoU").replace("f1", "F1")
    return _KINDS.get(name) or words[:1].upper() + words[1:]


def split_metric(name: str, classes: Sequence[str]) -> tuple[str, str]:
    """Splits the name of a metric into its kind and its class; the class is empty for metrics of all."""
    if name in _NAMES:
        return name, ""
    of = max((c for c in classes if name.endswith(f"_{c}")), key=len, default="")
    return (name[: -len(of) - 1], of) if of else (name, "")


def of_each_class(names: Iterable[str], classes: Sequence[str]) -> set[str]:
    """Returns the metrics of single classes, which a table of classes shows; none of two classes or fewer."""
    return {name for name in names if split_metric(name, classes)[1]} if len(classes) > 2 else set()


def kind_of_metric(kind: str) -> str:
    """Returns the display name of a kind of metric that `split_metric` returned."""
    return _kind(kind)
