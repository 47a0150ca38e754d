"""Confidence intervals and p-values of metrics, by the bootstrap over images.

Efron, Tibshirani 1993, "An introduction to the bootstrap": sets of the same size are drawn, with
replacement, from the images; the variation of the metric between these sets estimates its variation between
sets of other images. Whole images are drawn, never pixels, since the pixels of one image are correlated.
Models are compared in pairs, on the same drawn sets, so that a hard image counts against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from unet.metrics.confusion import Floats

RESAMPLES = 2000
LEVEL = 0.95
# With fewer images no difference can be significant, even if all images show it (sign test: 1/2^4 > 0.05).
LEAST_IMAGES = 5
# Indices that are drawn at a time: bounds the memory, not the result.
_DRAWN_AT_ONCE = 2_000_000


def resamples(images: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yields `RESAMPLES` sets of images in batches [N, images] of indices, equal for equal seeds."""
    rng = np.random.default_rng([seed, images])
    batch = max(1, min(RESAMPLES, _DRAWN_AT_ONCE // max(images, 1)))
    for start in range(0, RESAMPLES, batch):
        yield rng.integers(0, images, (min(batch, RESAMPLES - start), images))


def resample(
    images: int, seed: int, values: Callable[[NDArray[np.int64]], Mapping[str, Floats]]
) -> dict[str, Floats]:
    """Values of all resamples, [RESAMPLES] by name; `values` computes them for a batch of resamples."""
    batches = [values(chosen) for chosen in resamples(images, seed)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled values; NaN if all of them are NaN."""
    there = values[~np.isnan(values)]
    if not there.size:
        return float("nan"), float("nan")
    low, high = np.quantile(there, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def p_not_worse(worse: Floats) -> float:
    """One-sided p-value against "the candidate is not worse than the baseline".

    It is the share of resamples in which the candidate is not worse, with one added to both counts, so that
    it is never 0 (Davison and Hinkley 1997, section 4.2).

    Args:
        worse: difference by which the candidate is worse, for each resample. NaN, for a resample whose images
            have no value of the metric, does not count.
    """
    there = worse[~np.isnan(worse)]
    return float((1 + (there <= 0).sum()) / (1 + there.size))
