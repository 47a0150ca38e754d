"""Scores of segments rather than pixels: the foreground-restricted Rand and information scores of ISBI 2012.

Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for
connectomics", Frontiers in Neuroanatomy 9:142. One pixel that opens a border merges two cells: these scores
penalise it, the pixel error hardly does. The score of a set of images is the mean over its images, at the
threshold that is best for the set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from unet.masks.objects import label_objects

# Evenly spaced in log-odds, from 0.05 to 0.9995: a few uncertain pixels in a thin border keep cells apart, so
# the best threshold lies close to 1.
THRESHOLDS = tuple(1 / (1 + np.exp(-x)) for x in np.linspace(-3, 7.5, 22))


def scores(
    probability: NDArray,
    ground_truth: NDArray[np.uint8],
    ignore: int,
    instances: NDArray[np.uint16] | None = None,
) -> NDArray[np.float64]:
    """Scores of one image at every threshold.

    Args:
        probability: probability of the foreground, [H, W], 0 to 1.
        ground_truth: class indices, [H, W]; 0 is the border between segments.
        ignore: class index of pixels that are not counted.
        instances: number of each pixel's true segment, where the masks number objects, see `label_objects`.

    Returns:
        Scores [len(THRESHOLDS), 2] in the order of `names.SEGMENT_SCORES`; NaN if the ground truth has
        no segment.
    """
    labels = label_objects((ground_truth > 0) & (ground_truth != ignore), instances)
    return np.array([rand_and_information(segments(probability, t), labels) for t in THRESHOLDS])


def best(mean_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximum of each score over the thresholds, [..., thresholds, 2] -> [..., 2]; NaN if all are NaN."""
    highest = np.where(np.isnan(mean_scores), -np.inf, mean_scores).max(-2)
    return np.where(np.isneginf(highest), np.nan, highest)


def segments(probability: NDArray, threshold: float) -> NDArray[np.int32]:
    """Numbers the 4-connected parts above a threshold from 1 on, [H, W].

    Pixels below the threshold belong to the nearest part. An image without any part is a single segment.
    """
    labels, count = ndimage.label(probability > threshold)
    if not count:
        return np.ones(labels.shape, np.int32)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return labels[tuple(nearest)].astype(np.int32)


def rand_and_information(
    proposal: NDArray[np.integer], ground_truth: NDArray[np.integer]
) -> tuple[float, float]:
    """V_rand and V_info (F-scores, alpha = 1/2) of a segmentation over the pixels of the true segments.

    With p_ij the share of pixels in segment i of the proposal and j of the ground truth, margins s, t:
    V_rand = sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2), V_info = I(S; T) / (H(S) / 2 + H(T) / 2).

    Args:
        proposal: predicted segment of each pixel, [H, W].
        ground_truth: true segment of each pixel, [H, W]; 0 for pixels that are not counted.

    Returns:
        V_rand and V_info, each between 0 and 1; NaN if no pixel counts. If proposal and ground truth are one
        segment each, both scores are 1.
    """
    counted = ground_truth != 0
    total = int(np.count_nonzero(counted))
    if not total:
        return float("nan"), float("nan")
    pairs = (np.ones(total), (proposal[counted], ground_truth[counted]))
    joint = sparse.coo_matrix(pairs).tocsr() / total  # adds up equal pairs
    s, t = np.asarray(joint.sum(1)).ravel(), np.asarray(joint.sum(0)).ravel()
    v_rand = 2 * (joint.data**2).sum() / ((s**2).sum() + (t**2).sum())
    entropies = _entropy(s) + _entropy(t)
    # I(S; T) = H(S) + H(T) - H(S, T)
    v_info = 2 * (entropies - _entropy(joint.data)) / entropies if entropies > 1e-12 else 1.0
    return float(v_rand), float(v_info)


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
