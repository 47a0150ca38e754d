"""The scores against their definition over all pairs of pixels, and against scikit-image's."""

import itertools

import numpy as np
import pytest

from unet.masks.labels import IGNORE
from unet.metrics import segments
from unet.metrics.segments import rand_and_information

NUMBERS = np.random.default_rng(0)


def by_pairs(proposal, ground_truth):
    """V_rand from the pairs of counted pixels (with themselves): together in both, over those in either."""
    pixels = [(p, t) for p, t in zip(proposal.ravel(), ground_truth.ravel(), strict=True) if t]
    pairs = list(itertools.product(pixels, repeat=2))
    both = sum(a == b for a, b in pairs)
    return both / (sum(a[0] == b[0] for a, b in pairs) / 2 + sum(a[1] == b[1] for a, b in pairs) / 2)


@pytest.mark.parametrize(("shape", "labels"), [((1, 1), 1), ((5, 6), 2), ((7, 5), 4), ((6, 6), 20)])
@pytest.mark.parametrize("seed", range(3))
def test_the_rand_score_is_that_of_all_pairs(shape, labels, seed):
    numbers = np.random.default_rng(seed)
    proposal, ground_truth = numbers.integers(1, labels + 1, shape), numbers.integers(0, labels + 1, shape)
    ground_truth.flat[0] = 1
    assert rand_and_information(proposal, ground_truth)[0] == pytest.approx(by_pairs(proposal, ground_truth))


def test_both_are_those_of_scikit_image():
    skimage = pytest.importorskip("skimage.metrics")
    proposal, ground_truth = NUMBERS.integers(1, 5, (40, 40)), NUMBERS.integers(1, 7, (40, 40))
    v_rand, v_info = rand_and_information(proposal, ground_truth)
    splits, merges = skimage.variation_of_information(ground_truth, proposal)
    shares = np.bincount(proposal.ravel())[1:] / 1600, np.bincount(ground_truth.ravel())[1:] / 1600
    entropies = sum(-(p * np.log2(p)).sum() for p in shares)
    assert v_info == pytest.approx((entropies - splits - merges) / entropies)
    _, precision, recall = skimage.adapted_rand_error(ground_truth, proposal)
    # scikit-image leaves out pairs of a pixel with itself, a share of 1 / 1600 here.
    assert v_rand == pytest.approx(2 * precision * recall / (precision + recall), abs=2e-2)


def test_names_do_not_matter_and_equal_segmentations_score_one():
    ground_truth = NUMBERS.integers(1, 5, (20, 20))
    assert rand_and_information(ground_truth * 3 + 1, ground_truth) == pytest.approx((1, 1))
    assert rand_and_information(np.ones((3, 3), int), np.ones((3, 3), int)) == (1, 1)


def test_a_merge_and_a_split_of_two_halves():
    halves = np.repeat([[1, 2]], 4, 0)
    one = np.ones_like(halves)
    # p = (1/2, 1/2) in the halves, 1 in the whole: 1/2 / (1/4 + 1/2), and no information.
    for proposal, ground_truth in ((one, halves), (halves, one)):
        assert rand_and_information(proposal, ground_truth) == pytest.approx((2 / 3, 0))


def test_borders_go_to_the_nearest_segment():
    probability = np.array([[0.9, 0.9, 0.1, 0.1, 0.1, 0.9]])
    np.testing.assert_array_equal(segments.segments(probability, 0.5), [[1, 1, 1, 1, 2, 2]])
    np.testing.assert_array_equal(segments.segments(probability, 0.95), [[1] * 6])


def test_the_best_threshold_of_the_set_is_found():
    ground_truth = np.kron([[1, 0, 1], [0, 0, 0], [1, 0, 1]], np.ones((9, 9))).astype(np.uint8)
    blurred = np.where(ground_truth, 0.8, 0.6)
    values = segments.scores(blurred, ground_truth, IGNORE)
    assert values.shape == (len(segments.THRESHOLDS), 2)
    assert segments.best(values) == pytest.approx((1, 1))
    assert values[0, 0] < 0.5  # at the lowest one all is one segment


def test_ignored_pixels_and_borders_do_not_count():
    ground_truth = np.array([[1, 1, 0, 1, 1, IGNORE]], np.uint8)
    probability = np.array([[0.9, 0.9, 0.1, 0.9, 0.9, 0.0]])
    scores = segments.scores(probability, ground_truth, IGNORE)
    assert segments.best(scores).tolist() == [1, 1]


def test_without_a_segment_there_is_no_score():
    values = segments.scores(np.ones((4, 4)), np.zeros((4, 4), np.uint8), IGNORE)
    assert np.isnan(segments.best(values)).all()


def test_segments_that_touch_are_those_that_the_mask_numbers():
    ground_truth = np.array([[1, 1, 1, 1, 0, 1]], np.uint8)
    instances = np.array([[3, 3, 7, 7, 0, 0]], np.uint16)
    merged = np.array([[0.9, 0.9, 0.9, 0.9, 0.1, 0.9]])
    apart = np.array([[0.9, 0.6, 0.6, 0.9, 0.1, 0.9]])
    assert segments.best(segments.scores(merged, ground_truth, IGNORE)).tolist() == [1, 1]
    assert segments.best(segments.scores(merged, ground_truth, IGNORE, instances)).max() < 0.9
    assert segments.best(segments.scores(apart, ground_truth, IGNORE, instances)).tolist() == [1, 1]
