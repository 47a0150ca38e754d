"""Kinds of error of a pixel, and their shares."""

import numpy as np
import pytest

from unet.evaluation.errors import MISSED, OTHER, RIGHT, TOO_MUCH, kinds_of_error, shares
from unet.masks.labels import IGNORE


@pytest.mark.parametrize(
    ("ground_truth", "predicted", "kind"),
    [
        (0, 0, 0),
        (1, 1, RIGHT),
        (2, 2, RIGHT),
        (1, 0, MISSED),
        (0, 1, TOO_MUCH),
        (1, 2, OTHER),
        (IGNORE, 1, 0),
    ],
)
def test_kinds_of_error(ground_truth: int, predicted: int, kind: int):
    found = kinds_of_error(np.array([[ground_truth]], np.uint8), np.array([[predicted]], np.uint8), IGNORE)
    assert found.tolist() == [[kind]]


def test_without_a_background_nothing_is_missed_or_too_much():
    ground_truth = np.array([[0, 0, 1, 2, IGNORE]], np.uint8)
    predicted = np.array([[0, 1, 0, 2, 0]], np.uint8)
    found = kinds_of_error(ground_truth, predicted, IGNORE, first=0)
    assert found.tolist() == [[RIGHT, OTHER, OTHER, RIGHT, 0]]
    assert shares(found) == {"right": 0.5, "missed": 0, "too_much": 0, "other": 0.5}


def test_errors_are_shares_of_the_foreground_true_or_predicted():
    kinds = np.array([[0, 0, RIGHT, RIGHT, MISSED, TOO_MUCH, TOO_MUCH, OTHER]], np.uint8)
    assert shares(kinds) == {"right": 2 / 6, "missed": 1 / 6, "too_much": 2 / 6, "other": 1 / 6}
    assert set(shares(np.zeros((3, 3), np.uint8)).values()) == {0}
