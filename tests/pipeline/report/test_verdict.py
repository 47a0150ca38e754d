"""What came of the run, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.report.artifacts import RunArtifacts
from pipeline.report.verdict import build, difference, main_metrics
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
    write_verdict(folder, {**verdict, "checks": [{**drop, "passed": True}]})
    text = page(made).text["verdict"]
    assert ("may be chance, p = 0.400" in text) == by_chance
    assert (
        "p = " in text
    ) == by_chance  # of a better model it is near 1, and says the opposite of what it seems to


def test_a_drop_that_is_no_chance_says_so(make: Callable[..., Made]):
    made = make()
    folder = made.folder("Evaluator", "evaluation")
    verdict = read_verdict(folder)
    assert verdict
    drop = {**verdict["checks"][0], "kind": "drop", "p": 0.01, "by_chance": False, "passed": False}
    write_verdict(folder, {**verdict, "checks": [drop]})
    assert "unlikely by chance, p = 0.010" in page(made).text["verdict"]


@pytest.mark.parametrize(("classes", "in_list"), [(["a", "b"], True), (["a", "b", "c"], False)])
def test_what_several_classes_have_one_each_of_is_left_to_the_table(
    make: Callable[..., Made], classes: list[str], in_list: bool
):
    text = page(make(classes=classes)).text
    for section in ("verdict", "blessed"):
        assert "Mean IoU" in text[section]
        assert ("Precision, b" in text[section]) == in_list
    assert ("Those of each class are under Classes." in text["verdict"]) != in_list
    assert ("Each class: this model" in text["blessed"]) != in_list


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


@pytest.mark.parametrize("same", [True, False])
def test_one_metric_under_two_names_is_shown_once_in_large_type(make: Callable[..., Made], same: bool):
    verdict = read_verdict(make().folder("Evaluator", "evaluation"))
    assert verdict
    verdict["checks"][0]["metric"] = "mean_iou"
    verdict["metrics"]["mean_iou"] = verdict["metrics"]["foreground_iou"].copy()
    if not same:
        verdict["metrics"]["mean_iou"]["value"] = 0.125
    labels = [tile["label"] for tile in main_metrics(verdict)]
    assert ("Foreground IoU" in labels) == (not same)
    assert "Mean IoU" in labels
