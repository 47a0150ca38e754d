"""The verdict as people read it, at the width of several terminals."""

import io
from itertools import product

import pytest
from rich.console import Console

from pipeline.terminal.verdict import print_verdict
from unet.evaluation.results import read_verdict, write_verdict


def check(**change):
    base = {
        "metric": "foreground_iou", "slice": "", "kind": "threshold", "value": 0.62, "bound": 0.5,
        "baseline": 0.6, "margin": 0.12, "low": 0.55, "high": 0.7, "p": None, "passed": True,
        "by_chance": False, "images": 12,
    }  # fmt: skip
    return {**base, **change}


DROP = {"kind": "drop", "bound": 0.01, "low": -0.01, "high": 0.05, "p": 0.8, "margin": 0.03}


def verdict(checks, blessed=True, state="compared", why="the last blessed model (7)"):
    metric = {"value": 0.62, "low": 0.55, "high": 0.7, "baseline": 0.6 if state == "compared" else None}
    names = ("foreground_iou", "iou_background", "iou_cell", "precision_cell")
    return {
        "blessed": blessed, "reason": "2 of 2 checks passed", "classes": ["background", "cell"], "images": 12,
        "baseline": {"state": state, "why": why, "model_id": 7}, "checks": checks,
        "metrics": dict.fromkeys(names, metric), "slices": {}, "confusion": [],
        "calibration": {"bins": [], "ece": 0.1},
    }  # fmt: skip


def text(width, *arguments, **options):
    out = io.StringIO()
    print_verdict(verdict(*arguments, **options), Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_table_with_a_line_for_each_demand():
    assert text(80, [check(), check(**DROP)]) == [
        "Gate: blessed",
        "12 test images; compared with the last blessed model (7)",
        "",
        "                           95 %   95 %",
        "metric             model   from     to demanded before",
        "foreground_iou    0.6200  0.550  0.700   >= 0.5 0.6000 pass",
        "  change, better +0.0200 -0.010 +0.050 >= -0.01        pass",
        "iou_background    0.6200  0.550  0.700          0.6000",
        "precision_cell    0.6200  0.550  0.700          0.6000",
        "",
        "2 of 2 checks passed",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    long = check(metric="iou_cell", slice="microscope=a very long name of one", passed=False)
    lines = text(width, [check(), check(**DROP), long], blessed=False)
    assert max(map(len, lines)) <= width
    joined = " ".join(" ".join(lines).split())
    for needed in ("foreground_iou", "0.6200", " 0.550 ", " 0.700 ", ">= 0.5", "pass", "FAIL", "Because"):
        assert needed in joined
    assert joined.isascii()


def test_less_is_better_shows_in_what_is_demanded():
    error = check(metric="pixel_error", bound=0.1, value=0.05)
    joined = "\n".join(text(100, [error, {**error, **DROP, "value": 0.04, "baseline": 0.05}]))
    assert "<= 0.1" in joined
    assert "<= 0.01" in joined
    assert "-0.0100" in joined


def test_a_drop_that_may_be_chance_says_so():
    lines = text(100, [check(), check(**{**DROP, "margin": -0.02, "value": 0.57, "by_chance": True})])
    assert any(line.endswith("pass: may be chance, p = 0.800") for line in lines)


@pytest.mark.parametrize(
    ("change", "word", "p"),
    [
        ({"p": 1.0, "margin": 0.03}, "better", False),
        ({"p": 0.3, "margin": 0.005, "value": 0.595}, "worse", False),
        ({"p": 0.01, "margin": -0.02, "value": 0.57, "passed": False}, "worse", True),
        ({"metric": "pixel_error", "p": 1.0, "value": 0.57}, "better", False),
        ({"metric": "pixel_error", "p": 0.01, "passed": False}, "worse", True),
        ({"p": None, "margin": -0.02, "value": 0.57, "passed": False}, "worse", False),  # too few images
    ],
)
def test_p_is_told_only_where_it_decided_about_a_drop(change, word, p):
    [line] = [line for line in text(100, [check(), check(**{**DROP, **change})]) if "change" in line]
    assert line.startswith(f"  change, {word} ")
    assert ("p = " in line) == p


def test_several_classes_have_a_table_instead_of_a_line_for_each_metric():
    classes = ["background", "car", "a class with a very long name"]
    kinds = ("iou", "dice", "precision", "recall")
    found = verdict([check(metric="iou_car")])
    found["classes"] = classes
    values = {f"{kind}_{name}": i / 100 for i, (kind, name) in enumerate(product(kinds, classes))}
    found["metrics"] = {
        name: {"value": value, "low": 0.0, "high": 1.0, "baseline": 0.5}
        for name, value in {
            "mean_iou": 0.4,
            **values,
            "boundary_f1_car": 0.7,
            "object_f1_car": 0.6,
            "object_ap_car": 0.2,
        }.items()
    }
    out = io.StringIO()
    print_verdict(found, Console(file=out, width=80))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    first = next(i for i, line in enumerate(lines) if line.startswith("class"))
    assert lines[first].split() == ["class", *kinds, "f1", "f1", "before"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[first + 1 :] if line}
    assert rows["car"] == ["0.0100", "0.0400", "0.0700", "0.1000", "0.7000", "0.6000", "0.5000"]
    assert rows["background"] == ["0.0000", "0.0300", "0.0600", "0.0900", "0.5000"]
    before = "\n".join(lines[:first])
    assert "iou_car" in before  # it was demanded
    assert "mean_iou" in before
    assert not any(f"{kind}_{name}" in before for kind in kinds for name in classes if kind != "iou")
    assert "object_ap_car" not in before  # the report has it
    assert max(map(len, lines)) <= 80


def test_objects_are_told_in_words():
    found = verdict([check()])
    found["objects"] = {"cell": {"ground_truth": 1200, "predicted": 1003, "matched": [1001, 3]}}
    out = io.StringIO()
    print_verdict(found, Console(file=out, width=80))
    assert "\ncell: 1,001 of 1,200 objects found, 2 predicted that match none\n" in out.getvalue()


@pytest.mark.parametrize(
    ("state", "words"),
    [("none", "not compared"), ("incomparable", "not comparable"), ("rebaselined", "not compared")],
)
def test_what_was_not_compared_has_no_column_and_a_reason(state, words):
    lines = text(100, [check(baseline=None)], state=state, why="its files are gone")
    assert lines[1] == f"12 test images; {words}: its files are gone"


def test_what_could_not_be_measured_is_left_blank():
    nothing = check(value=None, margin=None, low=None, high=None, passed=False, images=0)
    assert any(
        line.split() == ["foreground_iou", ">=", "0.5", "0.6000", "FAIL"] for line in text(90, [nothing])
    )


def test_it_prints_what_an_evaluation_holds(tmp_path):
    write_verdict(tmp_path, verdict([check()]))
    out = io.StringIO()
    read = read_verdict(tmp_path)
    assert read is not None
    print_verdict(read, Console(file=out, width=80))
    assert out.getvalue().startswith("Gate: blessed\n12 test images; compared with")


def test_no_drop_at_all_is_a_plain_zero():
    lines = text(80, [check(**{**DROP, "bound": 0.0})])
    assert any(" >= 0 " in line for line in lines)
    assert not any("-0 " in line for line in lines)


def test_without_a_background_the_mean_iou_is_shown_once_and_no_foreground():
    found = verdict([check(passed=False)], blessed=False)
    names = ("foreground_iou", "mean_iou", "foreground_dice", "mean_dice", "foreground_iou_p10")
    value = {"value": 0.4, "low": 0.3, "high": 0.5, "baseline": 0.5}
    found |= {"classes": ["road", "sky"], "reason": "foreground_iou is 0.4000"}
    found["metrics"] = dict.fromkeys([*names, "boundary_f1_road", "iou_sky", "boundary_f1_sky"], value)
    out = io.StringIO()
    print_verdict(found, Console(file=out, width=80))
    assert "foreground" not in out.getvalue()
    assert out.getvalue().count("mean_iou ") == 3  # demanded, its tenth percentile, the reason
    assert "iou_sky " in out.getvalue()  # which no other metric says
