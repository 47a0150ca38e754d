"""Calibration of the predicted probabilities: reliability bins and the expected calibration error.

Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", ICML, equation 3: pixels are
sorted into bins of equal width by the probability of their predicted class; the expected calibration error is
the mean difference of probability and share of correct pixels, weighted by the pixels of a bin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet.metrics.confusion import Floats, ratio

BINS = 15  # as in the paper
_FULL = 65535  # stands for a probability of 1 in 16 bits
_CHUNK = 2**22  # pixels that are counted at a time
# Bins exclude their lower bound: (0, 1/15], (1/15, 2/15], ...
_BIN_OF = np.minimum(np.maximum(np.arange(_FULL + 1) * BINS - 1, 0) // _FULL, BINS - 1)
_STARTS = np.searchsorted(_BIN_OF, np.arange(BINS))


def calibration_counts(confidence: NDArray[np.uint16], right: NDArray[np.bool_]) -> Floats:
    """Sums over the pixels of each bin; the sums of several images add up.

    Args:
        confidence: probability of each pixel's predicted class, times 65535, any shape.
        right: whether the predicted class of each pixel is correct, in the shape of `confidence`.

    Returns:
        Sums [BINS, 3]: number of pixels, sum of their probabilities, number of correct pixels.
    """
    every, hits = np.zeros((2, _FULL + 1), np.int64)
    confidence, right = confidence.ravel(), right.ravel()
    for start in range(0, len(confidence), _CHUNK):  # bincount takes 8 bytes a pixel
        part = confidence[start : start + _CHUNK]
        every += np.bincount(part, minlength=_FULL + 1)
        hits += np.bincount(part[right[start : start + _CHUNK]], minlength=_FULL + 1)
    sums = every * (np.arange(_FULL + 1) / _FULL)
    return np.stack([np.add.reduceat(values.astype(float), _STARTS) for values in (every, sums, hits)], -1)


def expected_calibration_error(counts: NDArray) -> Floats:
    """The expected calibration error, [...], from sums [..., BINS, 3]; NaN without pixels."""
    pixels, sums, right = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    # In weight times difference, the number of pixels of a bin cancels out.
    return ratio(np.abs(sums - right).sum(-1), pixels.sum(-1))


def reliability_bins(counts: NDArray) -> list[dict[str, float | int]]:
    """Mean probability, share of correct pixels and number of pixels of each bin, from sums [BINS, 3]."""
    return [
        {
            "confidence": s / n if n else float("nan"),
            "accuracy": r / n if n else float("nan"),
            "pixels": int(n),
        }
        for n, s, r in np.asarray(counts, np.float64).tolist()
    ]
