"""How good the model is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pipeline.report.quality import _rank
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page
from unet.evaluation.slices import SHARES, SIZES


def test_slices_without_images_and_a_gate_without_checks(make: Callable[..., Made]):
    made = make()
    path = made.folder("Evaluator", "evaluation") / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["checks"] = []
    nothing = dict.fromkeys(verdict["metrics"])
    verdict["slices"] = {"size=large": {"images": 0, "metrics": nothing, "baseline": nothing}}
    verdict["slices"] |= {"odd": {"images": 0, "metrics": {}, "baseline": None}}
    verdict["confusion"] = [[0, 0], [0, 0]]
    verdict["calibration"] = {"bins": [], "ece": None}
    path.write_text(json.dumps(verdict))
    text = page(made).text
    assert "Nothing was demanded of this model." in text["verdict"]
    assert "large0–" in text["slices"]
    assert "The calibration was not measured." in text["calibration"]
    assert not any("cannot be shown" in part for part in text.values())


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["10", "9", "a"], ["9", "10", "a"]),
        (["b", "a", "1.5"], ["1.5", "a", "b"]),
    ],
)
def test_slices_are_ordered_as_people_would(values: list[str], order: list[str]):
    assert sorted(values, key=_rank) == order


@pytest.mark.parametrize("order", [list(SIZES), list(SHARES)])
def test_buckets_are_ordered_by_their_bounds(order: list[str]):
    assert sorted(sorted(order), key=lambda value: _rank(value, order)) == order
