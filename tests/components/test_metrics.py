"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from components import metrics

# 10 pixels of background, 4 of them taken for cell; 6 of cell, 1 of them taken for background.
CONFUSION = np.array([[6, 4], [1, 5]])


def test_values_by_hand():
    values = metrics.summarize(CONFUSION, ["background", "cell"])
    assert values == pytest.approx(
        {
            "foreground_iou": 5 / 10,
            "mean_iou": (6 / 11 + 5 / 10) / 2,
            "pixel_error": 5 / 16,
            "iou_background": 6 / 11,
            "iou_cell": 5 / 10,
            "dice_background": 12 / 17,
            "dice_cell": 10 / 15,
        }
    )


def test_names_are_those_of_summarize():
    classes = ["a", "b", "c"]
    assert list(metrics.summarize(np.eye(3), classes)) == metrics.metric_names(classes)


def test_absent_classes_do_not_count():
    confusion = np.array([[5, 0, 0], [0, 3, 0], [0, 0, 0]])
    values = metrics.summarize(confusion, ["a", "b", "c"])
    assert values["foreground_iou"] == 1
    assert math.isnan(values["iou_c"])


def test_no_pixels_give_no_numbers():
    assert all(math.isnan(v) for v in metrics.summarize(np.zeros((2, 2)), ["a", "b"]).values())


@pytest.mark.parametrize("seed", range(3))
def test_against_masks(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 3, (2, 40, 30))
    confusion = np.bincount((truth * 3 + prediction).ravel(), minlength=9).reshape(3, 3)
    for c in range(3):
        both = ((truth == c) & (prediction == c)).sum()
        assert metrics.iou(confusion)[c] == both / ((truth == c) | (prediction == c)).sum()
        assert metrics.dice(confusion)[c] == 2 * both / ((truth == c).sum() + (prediction == c).sum())
    assert metrics.pixel_error(confusion) == pytest.approx((truth != prediction).mean())
