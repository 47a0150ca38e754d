import numpy as np
import pytest

from components.losses import pixel_cross_entropy
from components.masks import IGNORE

NUMBERS = np.random.default_rng(0)
LOGITS = NUMBERS.normal(0, 3, (2, 5, 6, 3)).astype(np.float32)
TRUTH = NUMBERS.integers(0, 3, (2, 5, 6)).astype(np.int32)


def by_hand(counted: np.ndarray) -> float:
    """Mean over the counted pixels of -log softmax of the true class: equation 1 of the paper, unweighted."""
    logarithm = LOGITS - np.log(np.exp(LOGITS.astype(np.float64)).sum(-1, keepdims=True))
    return float(-np.take_along_axis(logarithm, TRUTH[..., None], -1)[..., 0][counted].mean())


def test_cross_entropy_is_that_of_the_definition():
    everything = np.ones(TRUTH.shape, bool)
    for ignore in (False, True):
        assert float(pixel_cross_entropy(ignore)(TRUTH, LOGITS)) == pytest.approx(
            by_hand(everything), rel=1e-5
        )


def test_ignored_pixels_do_not_change_the_mean_of_the_others():
    counted = NUMBERS.random(TRUTH.shape) < 0.3
    truth = np.where(counted, TRUTH, IGNORE)
    assert float(pixel_cross_entropy(True)(truth, LOGITS)) == pytest.approx(by_hand(counted), rel=1e-5)


def test_a_batch_of_ignored_pixels_has_no_loss():
    assert float(pixel_cross_entropy(True)(np.full_like(TRUTH, IGNORE), LOGITS)) == 0
