"""The boundary F1 score against an exhaustive search for the nearest outline, and by hand."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import find_boundaries

from unet.metrics import boundary

COUNTED = np.ones((40, 50), bool)


def blobs(seed, shape=(40, 50), classes=2):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return np.digitize(noise, np.quantile(noise, np.arange(1, classes) / classes)).astype(np.uint8)


@pytest.mark.parametrize("tolerance", [0, 1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_against_distances_between_all_pixels_of_outlines(seed, tolerance):
    ground_truth, predicted = blobs(seed), blobs(seed + 10)
    [counts] = boundary.boundary_counts(predicted, ground_truth, COUNTED, 2, tolerance)
    found, real = (np.argwhere(find_boundaries(mask, connectivity=1, mode="inner") & (mask > 0))
                   for mask in (predicted, ground_truth))  # fmt: skip
    distances = np.linalg.norm(found[:, None] - real[None], axis=-1)
    assert counts.tolist() == [
        len(found), (distances.min(1) <= tolerance).sum(), len(real), (distances.min(0) <= tolerance).sum()
    ]  # fmt: skip
    precision, recall = counts[1] / counts[0], counts[3] / counts[2]
    assert boundary.boundary_f1(counts[None]) == pytest.approx(2 * precision * recall / (precision + recall))


def test_a_shift_within_the_tolerance_is_forgiven():
    ground_truth, predicted = np.zeros((2, 40, 50), np.uint8)
    ground_truth[10:20, 10:20] = predicted[12:22, 10:20] = 1
    for tolerance, is_met in ((2, True), (1, False)):
        counts = boundary.boundary_counts(predicted, ground_truth, COUNTED, 2, tolerance)
        assert (boundary.boundary_f1(counts)[0] == 1) == is_met


def test_each_class_has_an_outline_of_its_own():
    ground_truth = blobs(0, classes=3)
    counts = boundary.boundary_counts(ground_truth, ground_truth, COUNTED, 3, 0)
    for index in (1, 2):
        [alone] = boundary.boundary_counts(
            (ground_truth == index).astype(np.uint8), (ground_truth == index), COUNTED, 2, 0
        )
        assert counts[index - 1].tolist() == alone.tolist()


def test_the_edge_of_the_image_and_pixels_that_do_not_count_are_no_outline():
    ground_truth, counted = np.ones((6, 6), np.uint8), np.ones((6, 6), bool)
    ground_truth[:, 3:], counted[:, 3] = 0, False
    assert boundary.boundary_counts(ground_truth, ground_truth, counted, 2, 1).sum() == 0
    counted[0, 3] = True  # one pixel of the other class is in sight
    assert boundary.boundary_counts(ground_truth, ground_truth, counted, 2, 1).tolist() == [[1, 1, 1, 1]]


def test_what_is_missing_scores_nothing_and_what_nobody_looks_for_is_no_number():
    counts = np.array([[0, 0, 9, 0], [9, 0, 0, 0], [0, 0, 0, 0]])
    scores = boundary.boundary_f1(counts)
    assert scores[:2].tolist() == [0, 0]
    assert math.isnan(scores[2])


def test_counts_of_images_add_up():
    parts = [boundary.boundary_counts(blobs(i), blobs(i + 5), COUNTED, 2, 2) for i in range(3)]
    whole = np.sum(parts, 0)
    assert min(map(boundary.boundary_f1, parts)) <= boundary.boundary_f1(whole)[0]
    assert boundary.boundary_f1(whole)[0] <= max(map(boundary.boundary_f1, parts))
