from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unet.bounds import assert_bound
from unet.evaluation.settings import Gate, GateSettings
from unet.metrics.names import gate_names


@pytest.mark.parametrize(
    ("setting", "allowed", "refused"),
    [
        ("max_drop", 0.0, -0.01),
        ("max_drop", 1.0, 1.01),
        ("boundary_tolerance", 0, -1),
        ("boundary_tolerance", 50, 51),
        ("thresholds", {"mean_iou": 0.5}, {"mean_iou": float("inf")}),
        ("slices", ["site", "group", "a b"], ["site", "size"]),
        ("slices", [], [""]),
        ("slices", ["a"], ["a=b"]),
        ("slices", ["b"], ["a@b"]),
        ("slices", ["images"], ["image"]),
    ],
)
def test_bounds(setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(Gate, setting, allowed, refused)


@pytest.mark.parametrize("taken", ["size", "bit_depth", "foreground", "mask", "split", "fold", "page"])
def test_slices_are_made_of_further_columns(taken: str) -> None:
    with pytest.raises(ValidationError, match=f"'{taken}' is no column of its own"):
        Gate(slices=["site", taken])
    assert Gate(slices=["b", "a", "b"]).slices == ["b", "a"]


@pytest.mark.parametrize("scores", [False, True])
def test_the_gate_knows_the_names_of_its_metrics(scores: bool) -> None:
    classes = ["background", "cell"]
    assert GateSettings(class_names=classes, segment_scores=scores).names == gate_names(classes, scores)
