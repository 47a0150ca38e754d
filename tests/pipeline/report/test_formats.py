"""Numbers, times and names as people read them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.report import formats


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("number", 0.12345, "0.123"), ("number", None, "–"), ("number", math.nan, "–"), ("number", True, "–"),
        ("number", "0.5", "–"), ("signed", 0.01, "+0.010"), ("signed", -0.01, "−0.010"),
        ("signed", -1e-9, "0.000"), ("signed", None, "–"), ("short", 123456.0, "1.235e+05"),
        ("percent", 0.123, "12.3 %"), ("percent", math.inf, "–"),
        ("megabytes", 0, "–"), ("megabytes", 900, "900 MB"),
        ("megabytes", 1640, "1.6 GB"),
        ("format_moment", "2026-11-05T00:45:05+0000", "5 November 2026, 00:45 UTC"),
        ("format_moment", "2026-11-05T00:45:05+0100", "5 November 2026, 00:45 UTC+01:00"),
        ("format_moment", "2026-11-05T00:45:05", "5 November 2026, 00:45"),
        ("format_moment", "yesterday", "yesterday"),
    ],
)  # fmt: skip
def test_values(function: str, value: Any, text: str):
    assert getattr(formats, function)(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("foreground_iou", "Foreground IoU"),
        ("iou_cell", "IoU, cell"),
        ("iou_dead_cell", "IoU, dead_cell"),  # not a metric "iou_dead" of the class cell
        ("boundary_f1_cell", "Boundary F1, cell"),
        ("some_new_metric", "Some new metric"),
    ],
)
def test_metrics(name: str, text: str):
    assert formats.metric(name, ["background", "cell", "dead_cell", "iou"]) == text
