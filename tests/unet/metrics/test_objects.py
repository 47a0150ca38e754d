"""The scores of objects against a search over all pairs of objects, and by hand."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from unet.masks.object_rule import ObjectRule
from unet.metrics import objects

COUNTED = np.ones((60, 70), bool)


def blobs(seed, shape=(60, 70), classes=2):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return np.digitize(noise, np.quantile(noise, np.arange(1, classes) / classes)).astype(np.uint8)


def changed(mask, seed):
    """A mask that is like another one, with some pixels of other classes."""
    rng = np.random.default_rng(seed)
    where = ndimage.gaussian_filter(rng.random(mask.shape), 1.5) > 0.57
    return np.where(where, rng.integers(0, mask.max() + 1, mask.shape), mask).astype(np.uint8)


def square(mask, top, left, height, width, value=1):
    mask[top : top + height, left : left + width] = value
    return mask


@pytest.mark.parametrize("seed", range(6))
def test_against_all_pairs_of_objects(seed, monkeypatch):
    monkeypatch.setattr(objects, "_BLOCK", 500)  # objects lie in several blocks
    ground_truth = blobs(seed, classes=3)
    predicted = changed(ground_truth, seed)
    counts = objects.object_counts(predicted, ground_truth, COUNTED, 3)
    for index in (1, 2):
        found, real = (label(mask == index, connectivity=1) for mask in (predicted, ground_truth))
        pairs = [
            [(f & r).sum() / (f | r).sum() for r in (real == j for j in range(1, real.max() + 1))]
            for f in (found == i for i in range(1, found.max() + 1))
        ]
        best = np.array(pairs).max(1)
        matches = [int((best > t).sum()) for t in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)]
        assert 0 < matches[0] < found.max() + real.max() - matches[0]
        assert counts[index - 1].tolist() == pytest.approx(
            [real.max(), found.max(), best[best > 0.5].sum(), *matches]
        )
        f1, precision, quality = objects.scores(counts[index - 1])
        true, predicted_count = real.max(), found.max()
        assert f1 == pytest.approx(2 * matches[0] / (true + predicted_count))
        assert precision == pytest.approx(np.mean([m / (true + predicted_count - m) for m in matches]))
        assert quality == pytest.approx(best[best > 0.5].sum() / ((true + predicted_count) / 2))


def test_an_object_of_exactly_half_the_overlap_is_no_match():
    ground_truth, predicted = np.zeros((2, 60, 70), np.uint8)
    square(ground_truth, 0, 0, 10, 10)
    square(predicted, 0, 0, 10, 5)
    [counts] = objects.object_counts(predicted, ground_truth, COUNTED, 2)
    assert counts.tolist() == [1, 1, *[0] * 11]
    square(predicted, 0, 5, 1, 1)
    [counts] = objects.object_counts(predicted, ground_truth, COUNTED, 2)
    assert counts.tolist() == pytest.approx([1, 1, 0.51, 1, *[0] * 9])


def test_numbered_objects_that_touch_are_apart_and_one_of_two_pieces_is_one():
    ground_truth, numbers = np.zeros((60, 70), np.uint8), np.zeros((60, 70), np.uint16)
    for number, left in ((40000, 0), (7, 10)):  # side by side
        square(ground_truth, 0, left, 10, 10)
        square(numbers, 0, left, 10, 10, number)
    for left in (30, 50):  # two pieces of one object
        square(ground_truth, 0, left, 10, 10)
        square(numbers, 0, left, 10, 10, 9)
    square(ground_truth, 30, 0, 10, 10)  # without a number
    [counts] = objects.object_counts(ground_truth, ground_truth, COUNTED, 2, 1, numbers)
    # The prediction has four parts: the touching ones are one, and each of the pieces is half of its object.
    assert counts[[objects.TRUE, objects.PREDICTED, objects.SUM + 1]].tolist() == [4, 4, 1]


def test_objects_that_are_split_match_each_their_own():
    centers = ((20, 20), (20, 36))
    y, x = np.mgrid[:60, :70]
    disks = [(y - top) ** 2 + (x - left) ** 2 < 81 for top, left in centers]
    mask = (disks[0] | disks[1]).astype(np.uint8)
    numbers = np.where(disks[1], 2, np.where(disks[0], 1, 0)).astype(np.uint16)
    for split, matches in ((0.0, 1), (1.0, 2)):  # the right one is more than half of both
        [counts] = objects.object_counts(mask, mask, COUNTED, 2, 1, numbers, ObjectRule(split))
        assert counts[[objects.TRUE, objects.SUM + 1]].tolist() == [2, matches]


def test_numbers_belong_to_the_class_of_instances_alone():
    ground_truth, numbers = np.zeros((60, 70), np.uint8), np.zeros((60, 70), np.uint16)
    square(ground_truth, 0, 0, 10, 10, 1)
    square(numbers, 0, 0, 10, 10, 3)
    square(ground_truth, 0, 20, 10, 10, 2)
    square(ground_truth, 0, 40, 10, 10, 2)
    counts = objects.object_counts(ground_truth, ground_truth, COUNTED, 3, 1, numbers)
    assert counts[:, objects.TRUE].tolist() == [1, 2]
    assert objects.scores(counts)[0].tolist() == [1, 1]


def test_pixels_that_do_not_count_part_objects_and_make_none():
    mask, counted = square(np.zeros((60, 70), np.uint8), 0, 0, 10, 30), COUNTED.copy()
    counted[:, 10:20] = False
    [counts] = objects.object_counts(mask, mask, counted, 2)
    assert counts[objects.TRUE] == counts[objects.PREDICTED] == counts[objects.SUM] == 2
    [counts] = objects.object_counts(mask, mask, ~COUNTED, 2)
    assert counts.sum() == 0


def test_without_any_object_there_is_no_score_and_with_one_in_vain_it_is_zero():
    nothing = np.zeros((60, 70), np.uint8)
    found = square(nothing.copy(), 0, 0, 5, 5)
    assert all(map(math.isnan, objects.scores(objects.object_counts(nothing, nothing, COUNTED, 2)[0])))
    for predicted, real in ((found, nothing), (nothing, found)):
        [counts] = objects.object_counts(predicted, real, COUNTED, 2)
        assert [float(value) for value in objects.scores(counts)] == [0, 0, 0]


def test_a_single_pixel_and_every_pixel_of_an_image_are_objects():
    one = np.ones((1, 1), np.uint8)
    assert objects.object_counts(one, one, one > 0, 2)[0].tolist() == [1] * objects.COUNTS
    full = np.ones((60, 70), np.uint8)
    assert objects.object_counts(full, full, COUNTED, 2, first=0)[:, objects.TRUE].tolist() == [0, 1]
