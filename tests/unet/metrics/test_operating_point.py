"""The threshold that serves an aim best, against every threshold tried one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.metrics.operating_point import BINS, choose, histogram

# Few values, so that pixels of both classes share some, and values on and beside a candidate.
PROBABILITIES = st.sampled_from([0, 1e-9, 0.25, 0.3, 0.5, np.nextafter(np.float32(0.5), 1), 0.7, 0.9999, 1])
PIXELS = st.lists(st.tuples(PROBABILITIES, st.booleans()), min_size=1, max_size=40)
AIMS = ["dice", "precision>=0.9", "precision>=.5", "recall>=0.9", "recall>=0.25"]


def score(pixels, threshold):
    hits = sum(p > threshold and real for p, real in pixels)
    predicted = sum(p > threshold for p, _ in pixels)
    real = sum(real for _, real in pixels)
    return {
        "precision": hits / predicted if predicted else math.nan,
        "recall": hits / real if real else math.nan,
        "dice": 2 * hits / (predicted + real) if predicted + real else math.nan,
    }


def chosen(pixels, aim):
    values, real = np.array([p for p, _ in pixels], np.float32), np.array([real for _, real in pixels])
    return choose(histogram(values[~real]), histogram(values[real]), aim)


def rank(aim, found):
    """What is better of the scores of two thresholds."""
    if aim == "dice":
        return (found["dice"],)
    metric, _, bound = aim.partition(">=")
    if not found[metric] >= float(bound):
        return (-1.0,)
    other = {"precision": "recall", "recall": "precision"}[metric]
    return (-1.0 if math.isnan(found[other]) else found[other], found[metric])


@pytest.mark.parametrize("aim", AIMS)
@given(pixels=PIXELS)
def test_no_other_threshold_serves_the_aim_better(aim, pixels):
    found = chosen(pixels, aim)
    assert found["aim"] == aim
    pixels = [(np.float32(p), real) for p, real in pixels]
    near = {int(p * BINS) + k for p, _ in pixels for k in (-1, 0, 1)}
    steps = {0.5, *(k / BINS for k in near if 0 <= k < BINS)}
    ranks = {t: rank(aim, score(pixels, t)) for t in steps}
    if not any(real for _, real in pixels) or max(ranks.values()) == (-1.0,):
        assert found["threshold"] == 0.5
        assert found["why_not"]
    else:
        assert found["why_not"] == ""
        assert rank(aim, score(pixels, found["threshold"])) == max(ranks.values())
        equal = [t for t in steps if ranks[t] == max(ranks.values())]
        assert abs(found["threshold"] - 0.5) == min(abs(t - 0.5) for t in equal)
    for key, threshold in (("argmax", 0.5), ("chosen", found["threshold"])):
        expected = {name: None if math.isnan(v) else v for name, v in score(pixels, threshold).items()}
        assert found[key] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pixels", "aim", "words"),
    [
        ([(0.9, False)], "dice", "no pixel of the eval images is of the class"),
        ([(0.9, False), (0.2, True)], "precision>=0.9", "the best precision is 0.500"),
        ([(0.0, True)], "recall>=0.9", "the best recall is 0.000"),
    ],
)
def test_where_nothing_can_be_chosen_it_says_why(pixels, aim, words):
    found = chosen(pixels, aim)
    assert found["why_not"].endswith(words)
    assert found["threshold"] == 0.5
    assert found["chosen"] == found["argmax"]
