"""Every term against its definition in NumPy; ignored pixels do not exist for any of them."""

import numpy as np
import pytest
import tensorflow as tf

from unet.masks.labels import IGNORE
from unet.training.losses import SegmentationLoss, balanced_weights
from unet.training.settings import TERMS

NUMBERS = np.random.default_rng(0)
LOGITS = NUMBERS.normal(0, 3, (2, 5, 6, 3)).astype(np.float32)
GROUND_TRUTH = NUMBERS.integers(0, 3, (2, 5, 6, 1)).astype(np.uint8)
BORDER = NUMBERS.integers(0, 256, (2, 5, 6, 1)).astype(np.uint8)
CLASS_WEIGHTS = [0.5, 2.0, 3.0]


def by_hand(term, counted, weights, classes=(1, 2)):
    """The definition, over the counted pixels alone."""
    exponentials = np.exp(LOGITS.astype(np.float64))
    p = (exponentials / exponentials.sum(-1, keepdims=True))[counted]
    y = GROUND_TRUTH[..., 0][counted]
    w = weights[counted]
    true = p[np.arange(len(y)), y]
    if term == "cross_entropy":
        return float((w * -np.log(true)).mean())
    if term == "focal":
        return float((w * (1 - true) ** 2 * -np.log(true)).mean())
    lacks = []
    for c in classes:
        hit, found, there = p[y == c, c].sum(), p[:, c].sum(), (y == c).sum()
        whole = found + there if term == "dice" else 0.7 * there + 0.3 * found
        lacks.append(1 - ((2 if term == "dice" else 1) * hit + 1) / (whole + 1))
    return float(np.mean(lacks))


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_term_is_its_definition_over_the_pixels_that_count(term, share):
    counted = NUMBERS.random(GROUND_TRUTH.shape[:3]) < share
    ground_truth = np.where(counted[..., None], GROUND_TRUTH, IGNORE)
    loss = SegmentationLoss({term: 2.0}, [1, 1, 1])
    expected = 2 * by_hand(term, counted, np.ones(counted.shape))
    assert float(loss(ground_truth, LOGITS)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", ["cross_entropy", "focal"])
def test_pixels_weigh_what_equation_2_says(term):
    loss = SegmentationLoss({term: 1.0}, CLASS_WEIGHTS, border_weight=10.0)
    weights = np.array(CLASS_WEIGHTS)[GROUND_TRUTH[..., 0]] + 10 * (BORDER[..., 0] / 255)
    expected = by_hand(term, np.ones(GROUND_TRUTH.shape[:3], bool), weights)
    assert float(loss(np.concatenate([GROUND_TRUTH, BORDER], -1), LOGITS)) == pytest.approx(
        expected, rel=1e-5
    )


def test_terms_add_up():
    loss = SegmentationLoss({"cross_entropy": 1.0, "dice": 0.5}, [1, 1, 1])
    counted = np.ones(GROUND_TRUTH.shape[:3], bool)
    expected = by_hand("cross_entropy", counted, np.ones(counted.shape)) + 0.5 * by_hand(
        "dice", counted, np.ones(counted.shape)
    )
    assert float(loss(GROUND_TRUTH, LOGITS)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_a_batch_of_ignored_pixels_has_a_finite_loss_without_gradient(term):
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = SegmentationLoss({term: 1.0}, [1, 1, 1])(np.full_like(GROUND_TRUTH, IGNORE), logits)
    assert float(value) == 0
    assert not np.any(tape.gradient(value, logits))


def test_an_unknown_term_is_refused():
    with pytest.raises(ValueError, match="hinge"):
        SegmentationLoss({"hinge": 1.0}, [1, 1])  # type: ignore[dict-item]


def test_balanced_weights_make_classes_count_alike():
    pixels = [900, 90, 0, 10]
    weights = balanced_weights(pixels)
    shares = [w * n for w, n in zip(weights, pixels, strict=True)]
    assert shares == pytest.approx([1000 / 3, 1000 / 3, 0, 1000 / 3])
    assert weights[2] == 1


@pytest.mark.parametrize("term", ["dice", "tversky"])
def test_without_a_background_overlaps_are_those_of_all_classes(term):
    counted = np.ones(GROUND_TRUTH.shape[:3], bool)
    loss = SegmentationLoss({term: 1.0}, [1, 1, 1], first=0)
    expected = by_hand(term, counted, np.ones(counted.shape), (0, 1, 2))
    assert float(loss(GROUND_TRUTH, LOGITS)) == pytest.approx(expected, rel=1e-5)
