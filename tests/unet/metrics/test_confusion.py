"""Metrics against values worked out by hand, and against scikit-learn's."""

import math

import numpy as np
import pytest
import sklearn.metrics

from unet.metrics import names
from unet.metrics.confusion import summarize, summarize_each

# 10 pixels of background, 4 of them taken for cell; 6 of cell, 1 of them taken for background.
CONFUSION = np.array([[6, 4], [1, 5]])


def test_values_by_hand():
    values = summarize(CONFUSION, ["background", "cell"])
    assert values == pytest.approx(
        {
            "foreground_iou": 5 / 10,
            "mean_iou": (6 / 11 + 5 / 10) / 2,
            "foreground_dice": 10 / 15,
            "mean_dice": (12 / 17 + 10 / 15) / 2,
            "pixel_error": 5 / 16,
            "iou_background": 6 / 11,
            "iou_cell": 5 / 10,
            "dice_background": 12 / 17,
            "dice_cell": 10 / 15,
            "precision_background": 6 / 7,
            "precision_cell": 5 / 9,
            "recall_background": 6 / 10,
            "recall_cell": 5 / 6,
        }
    )


def test_names_are_those_of_summarize():
    classes = ["a", "b", "c"]
    assert list(summarize(np.eye(3), classes)) == names.metric_names(classes)


def test_absent_classes_do_not_count():
    confusion = np.array([[5, 0, 0], [0, 3, 0], [0, 0, 0]])
    values = summarize(confusion, ["a", "b", "c"])
    assert values["foreground_iou"] == values["foreground_dice"] == 1
    assert all(math.isnan(values[f"{kind}_c"]) for kind in ("iou", "dice", "precision", "recall"))


def test_no_pixels_give_no_numbers():
    assert all(math.isnan(v) for v in summarize(np.zeros((2, 2)), ["a", "b"]).values())


@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    ground_truth, prediction = rng.integers(0, 3, (2, 40 * 30))
    values = summarize(sklearn.metrics.confusion_matrix(ground_truth, prediction), ["0", "1", "2"])
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(ground_truth, prediction)
    iou = sklearn.metrics.jaccard_score(ground_truth, prediction, average=None)
    for kind, expected in {"precision": precision, "recall": recall, "dice": f1, "iou": iou}.items():
        assert [values[f"{kind}_{i}"] for i in range(3)] == pytest.approx(expected)
    assert values["foreground_iou"] == pytest.approx(iou[1:].mean())
    assert values["mean_dice"] == pytest.approx(f1.mean())
    assert values["pixel_error"] == pytest.approx((ground_truth != prediction).mean())


def test_many_matrices_at_once_are_what_each_is_by_itself():
    many = np.random.default_rng(0).integers(0, 9, (4, 5, 3, 3))
    many[0, 0] = 0
    together = summarize_each(many, "abc")
    for i in np.ndindex(4, 5):
        for name, value in summarize(many[i], "abc").items():
            np.testing.assert_equal(together[name][i], value)


def test_without_a_background_every_class_counts():
    confusion = np.array([[6, 0, 0], [2, 8, 0], [0, 0, 4]])  # IoU 6/8, 8/10, 1
    values = summarize(confusion, ["road", "sky", "car"], first=0)
    assert values["foreground_iou"] == values["mean_iou"] == pytest.approx(0.85)
    assert values["foreground_dice"] == values["mean_dice"]
    assert summarize(confusion, ["road", "sky", "car"])["foreground_iou"] == pytest.approx(0.9)
