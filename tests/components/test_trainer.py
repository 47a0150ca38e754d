"""What the Trainer tells of a training."""

import math

import pytest

from components.trainer import best_step


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.2, 0.8, 0.8], 20), ([0.2, 0.8, 0.9], 25), ([math.nan, 0.1, 0.0], 20), ([math.nan] * 3, 10)],
    ids=["the first of equals", "the last", "no number", "no number at all"],
)
def test_the_best_step_is_that_of_the_weights_that_are_kept(scores, best):
    curves = {"steps": [10, 10, 5], "val_foreground_iou": scores}
    assert best_step(curves) == {"steps": 25, "best_step": best}
