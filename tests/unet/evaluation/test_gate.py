"""The decision, over tables of images that are made up."""

import json
import math

import numpy as np
import pytest

from unet.evaluation import gate
from unet.evaluation.results import Baseline
from unet.evaluation.settings import GateSettings
from unet.metrics.measurement import ImageStatistics
from unet.metrics.objects import COUNTS

CLASSES = ["background", "cell"]
COMPARED: Baseline = {"state": "compared", "why": "the last blessed model (7)", "model_id": 7}
NONE: Baseline = {"state": "none", "why": "no other model was blessed before", "model_id": None}


def settings(**change):
    values = {
        "class_names": CLASSES,
        "thresholds": {"foreground_iou": 0.5},
        "max_drop": 0.01,
        "segment_scores": False,
        "boundary_tolerance": 2,
        "slices": [],
        "seed": 0,
    }
    return GateSettings(**{**values, **change})


def sums(iou, pixels=1000):
    """What is measured of an image whose foreground has this IoU."""
    hit = round(pixels * iou)
    confusion = np.array([[pixels * 9, 0], [pixels - hit, hit]], float)
    return ImageStatistics(
        confusion, np.ones((1, 4)), np.ones((1, COUNTS)), np.full((15, 3), 10.0), np.zeros((2, 0, 2))
    ).to_json()


def images(candidate, baseline=None, slices=None):
    baseline = baseline if baseline is not None else [None] * len(candidate)
    return [
        {
            "name": f"{i:03d}", "height": 10, "width": 10, "bit_depth": 8, "foreground": 0.1,
            "slices": ["size=small", *(slices or {}).get(i, [])],
            "candidate": sums(now), "baseline": None if before is None else sums(before),
        }
        for i, (now, before) in enumerate(zip(candidate, baseline, strict=True))
    ]  # fmt: skip


def decide(candidate, baseline=None, about=None, slices=None, **change):
    about = about or (NONE if baseline is None else COMPARED)
    return gate.decide(images(candidate, baseline, slices), settings(**change), about)


@pytest.mark.parametrize(("iou", "blessed"), [(0.6, True), (0.5, True), (0.499, False)])
def test_a_threshold_decides(iou, blessed):
    verdict = decide([iou] * 4)
    assert verdict["blessed"] == blessed
    [check] = verdict["checks"]
    assert check["passed"] == blessed
    assert check["value"] == pytest.approx(iou)
    assert check["margin"] == pytest.approx(iou - 0.5)
    if not blessed:
        assert verdict["reason"] == "foreground_iou is 0.4990, the threshold is 0.5000"


@pytest.mark.parametrize(("bound", "blessed"), [(0.05, True), (0.03, False)])
def test_of_an_error_less_is_better(bound, blessed):
    verdict = decide([0.6] * 4, thresholds={"pixel_error": bound})  # 0.4 of a tenth
    assert verdict["blessed"] == blessed
    assert verdict["checks"][0]["margin"] == pytest.approx(bound - 0.04)


def test_what_cannot_be_measured_never_passes():
    rows = images([0.6] * 6)
    for row in rows:
        row["candidate"]["confusion"] = [[9, 0], [0, 0]]  # no cell anywhere
    verdict = gate.decide(rows, settings(), NONE)
    assert not verdict["blessed"]
    assert "cannot be measured" in verdict["reason"]
    assert math.isnan(verdict["checks"][0]["value"] or 0)


def test_what_a_candidate_lost_the_ability_to_show_does_not_pass_as_no_drop():
    rows = images([0.6] * 6, [0.6] * 6)
    for row in rows:
        row["candidate"]["boundary"] = [[0, 0, 0, 0]]
    verdict = gate.decide(rows, settings(thresholds={"boundary_f1": 0.1}), COMPARED)
    assert [check["passed"] for check in verdict["checks"]] == [False, False]


NOISE = np.random.default_rng(0).normal(0, 0.05, 20)


@pytest.mark.parametrize(
    ("baseline", "candidate", "blessed"),
    [
        ([0.8] * 20, [0.8] * 20, True),  # the same model, and no drop is allowed
        (0.8 + NOISE, 0.8 + NOISE - 0.03, False),  # a little worse in each image
        (0.8 + NOISE, 0.8 + NOISE + 0.03, True),
        (0.8 + NOISE, 0.795 + NOISE[::-1], True),  # worse by chance: better in half of them
        ([0.8] * 4, [0.79] * 4, False),  # too few to speak of chance
        ([0.9, 0.5, 0.9, 0.5], [0.5, 0.9, 0.5, 0.85], False),
    ],
)
def test_a_drop_fails_if_it_is_no_chance(baseline, candidate, blessed):
    verdict = decide(candidate, baseline, max_drop=0.0)
    drop = verdict["checks"][1]
    assert drop["kind"] == "drop"
    assert verdict["blessed"] == drop["passed"] == blessed, drop
    assert drop["by_chance"] == (blessed and drop["margin"] < -1e-6), drop
    assert drop["baseline"] == verdict["metrics"]["foreground_iou"]["baseline"]
    if not blessed:
        assert "the last blessed model has" in verdict["reason"]


@pytest.mark.parametrize(("allowed", "blessed"), [(0.02, False), (0.04, True)])
def test_a_drop_may_be_allowed(allowed, blessed):
    verdict = decide(0.77 + NOISE, 0.8 + NOISE, max_drop=allowed)
    assert verdict["blessed"] == blessed
    assert verdict["checks"][1]["margin"] == pytest.approx(allowed - 0.03, abs=1e-3)


def test_a_better_error_is_no_drop_and_a_worse_one_is():
    better, worse = (
        decide(now, before, thresholds={"pixel_error": 0.9}, max_drop=0.0)
        for now, before in (([0.8] * 6, [0.7] * 6), ([0.7] * 6, [0.8] * 6))
    )
    assert better["blessed"]
    assert not worse["blessed"]


def test_slices_have_thresholds_of_their_own():
    slices = {i: ["site=a" if i < 3 else "site=b"] for i in range(8)}
    limits = {"iou_cell@site=a": 0.5, "iou_cell@site=b": 0.8}
    verdict = decide([0.6] * 8, [0.6] * 8, slices=slices, thresholds=limits)
    assert [(c["slice"], c["kind"], c["images"], c["passed"]) for c in verdict["checks"]] == [
        ("site=a", "threshold", 3, True),
        ("site=a", "drop", 3, True),
        ("site=b", "threshold", 5, False),
        ("site=b", "drop", 5, True),
    ]
    assert verdict["reason"] == "iou_cell of site=b is 0.6000, the threshold is 0.8000"
    assert verdict["slices"]["site=a"]["images"] == 3
    assert verdict["slices"]["site=b"]["baseline"]["iou_cell"] == pytest.approx(0.6)


def test_a_slice_without_an_image_does_not_pass():
    verdict = decide([0.9] * 3, thresholds={"iou_cell@size=large": 0.1})
    assert verdict["reason"] == "iou_cell of size=large cannot be measured: no test image is in that slice"


def test_a_baseline_that_cannot_be_compared_is_for_a_person_to_pass():
    about: Baseline = {"state": "incomparable", "why": "the files of model 7 are gone", "model_id": 7}
    verdict = decide([0.9] * 3, about=about)
    assert not verdict["blessed"]
    assert "the files of model 7 are gone" in verdict["reason"]
    assert "--rebaseline" in verdict["reason"]
    assert decide([0.9] * 3, about={**about, "state": "rebaselined"})["blessed"]


def test_the_order_of_the_images_changes_nothing():
    rows = images(0.7 + NOISE, 0.7 + NOISE[::-1])
    a, b = (gate.decide(some, settings(), COMPARED) for some in (rows, rows[::-1]))
    assert a == b


def test_intervals_hold_the_value_and_shrink_with_more_images():
    few, many = (decide(np.resize(0.7 + NOISE, count)) for count in (20, 320))
    for verdict in (few, many):
        metric = verdict["metrics"]["foreground_iou"]
        assert metric["low"] < metric["value"] < metric["high"]
    width = [m["high"] - m["low"] for m in (v["metrics"]["foreground_iou"] for v in (few, many))]
    assert width[0] / width[1] == pytest.approx(4, rel=0.15)


def test_the_table_has_both_models_metrics_of_each_image():
    rows = gate.table(images([0.6, 0.7], [0.5, 0.4]), CLASSES)
    assert [row["metrics"]["foreground_iou"] for row in rows] == pytest.approx([0.6, 0.7])
    before = [row["baseline"]["metrics"]["foreground_iou"] for row in rows if row["baseline"]]
    assert before == pytest.approx([0.5, 0.4])
    assert json.loads(json.dumps(rows))[0]["confusion"] == [[9000, 0], [400, 600]]
    assert gate.table(images([0.6]), CLASSES)[0]["baseline"] is None


@pytest.mark.parametrize(("carriers", "of"), [(1, 12), (2, 100), (3, 100), (4, 12)])
def test_a_class_that_few_images_hold_cannot_hide_its_drop(carriers, of):
    rows = images([0.9] * of, [0.9] * of)
    for i, row in enumerate(rows):
        for model, iou in (("candidate", 0.3), ("baseline", 0.9)):
            row[model] = sums(iou if i < carriers else 0.9)
            if i >= carriers:
                row[model]["confusion"] = [[9000, 0], [0, 0]]
    verdict = gate.decide(rows, settings(thresholds={"iou_cell": 0.0001}), COMPARED)
    assert [check["passed"] for check in verdict["checks"]] == [True, False]
    assert verdict["checks"][1]["images"] == carriers
