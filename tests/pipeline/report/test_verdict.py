"""What came of the run, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.report.artifacts import RunArtifacts
from pipeline.report.verdict import build, difference
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page
from unet.evaluation.results import read_verdict, write_verdict


@pytest.mark.parametrize("by_chance", [False, True])
def test_a_drop_that_may_be_chance_says_so(make: Callable[..., Made], by_chance: bool):
    made = make()
    folder = made.folder("Evaluator", "evaluation")
    verdict = read_verdict(folder)
    assert verdict
    drop = {**verdict["checks"][0], "kind": "drop", "bound": 0.01, "p": 0.4, "by_chance": by_chance}
    write_verdict(folder, {**verdict, "checks": [drop]})
    text = page(made).text["verdict"]
    assert "p = 0.400" in text
    assert ("may be chance" in text) == by_chance


@pytest.mark.parametrize(
    ("value", "before", "expected"),
    [(0.5, 0.25, 0.25), (0.25, 0.5, -0.25), (None, 0.5, None), (0.5, None, None)],
)
def test_a_difference_is_known_where_both_values_are(value, before, expected):
    assert difference(value, before) == expected


@pytest.mark.parametrize(
    ("kind", "name", "bound"),
    [
        ("threshold", "foreground_iou", "at least 0.250"),
        ("threshold", "pixel_error", "at most 0.250"),
        ("drop", "foreground_iou", "at most 0.250 lower than before"),
        ("drop", "pixel_error", "at most 0.250 higher than before"),
    ],
)
def test_a_bound_says_on_which_side_it_is(make: Callable[..., Made], kind: str, name: str, bound: str):
    made = make()
    folder = made.folder("Evaluator", "evaluation")
    verdict = read_verdict(folder)
    assert verdict
    check = {**verdict["checks"][0], "kind": kind, "metric": name, "bound": 0.25}
    write_verdict(folder, {**verdict, "checks": [check]})
    [row] = build(RunArtifacts(made.root, made.run))["checks"]
    assert (row["bound"], row["of"]) == (bound, "change" if kind == "drop" else "")
