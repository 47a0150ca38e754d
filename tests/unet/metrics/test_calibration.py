"""Calibration against scikit-learn's curve and a plain loop."""

import itertools

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from unet.metrics import calibration


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    confidence = rng.integers(32768, 65536, 5000).astype(np.uint16)
    return confidence, rng.random(5000) < (confidence / 65535) ** 2


def test_bins_against_scikit_learn(pixels):
    confidence, right = pixels
    counts = calibration.calibration_counts(confidence, right)
    share, mean = calibration_curve(right, confidence / 65535, n_bins=calibration.BINS)
    bins = [b for b in calibration.reliability_bins(counts) if b["pixels"]]
    assert [b["confidence"] for b in bins] == pytest.approx(mean)
    assert [b["accuracy"] for b in bins] == pytest.approx(share)
    assert sum(b["pixels"] for b in bins) == len(right)


def test_error_against_a_loop(pixels):
    confidence, right = pixels
    expected, edges = 0.0, np.linspace(0, 1, calibration.BINS + 1)
    for low, high in itertools.pairwise(edges):
        inside = (confidence / 65535 > low) & (confidence / 65535 <= high)
        if inside.any():
            difference = abs(right[inside].mean() - (confidence[inside] / 65535).mean())
            expected += inside.mean() * difference
    counts = calibration.calibration_counts(confidence, right)
    assert calibration.expected_calibration_error(counts) == pytest.approx(expected)


def test_parts_add_up(pixels):
    confidence, right = pixels
    parts = sum(calibration.calibration_counts(confidence[i::3], right[i::3]) for i in range(3))
    np.testing.assert_allclose(parts, calibration.calibration_counts(confidence, right))


def test_no_pixels_are_no_error():
    counts = calibration.calibration_counts(np.zeros(0, np.uint16), np.zeros(0, bool))
    assert np.isnan(calibration.expected_calibration_error(counts))
    assert {b["pixels"] for b in calibration.reliability_bins(counts)} == {0}
