"""Finds near-duplicates in two splits: a model that learned from one looks better on the other than it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unet.dataset.inspection import SampleStats
from unet.dataset.sample import SPLITS
from unet.images.likeness import vectors

# Correlation of their details. The bundled nuclei and neighbouring slices of ISBI 2012 have at most 0.23 and
# 0.56; the same picture as a JPEG, at three quarters of its size or brightened has at least 0.98.
_ALIKE = 0.9
_AT_ONCE = 4096  # images that are compared in one product


def near_duplicates(
    facts: Sequence[SampleStats], split_of: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Names the images of eval and test that nearly are one of train, or of eval, each with the likest one.

    Time grows with the product of the numbers of images in the splits: 1.2 s for 10,000 images on two cores.

    Args:
        facts: statistics of the usable samples.
        split_of: split of each sample by name; None for those that are left out.
    """
    seen: list[SampleStats] = []
    found = []
    for split in SPLITS:
        mine = [fact for fact in facts if split_of.get(fact.name) == split and fact.details]
        found += _alike(mine, seen)
        seen += mine
    return found


def _alike(these: Sequence[SampleStats], others: Sequence[SampleStats]) -> list[tuple[str, str]]:
    mine = vectors([fact.details for fact in these])
    best, likest = np.zeros(len(these)), np.zeros(len(these), int)
    for start in range(0, len(others), _AT_ONCE):
        known = vectors([fact.details for fact in others[start : start + _AT_ONCE]])
        for first in range(0, len(these), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            likeness = mine[some] @ known.T  # [some of these, others]
            better = likeness.max(1) > best[some]
            likest[some] = np.where(better, start + likeness.argmax(1), likest[some])
            best[some] = np.maximum(best[some], likeness.max(1))
    return [(these[i].name, others[likest[i]].name) for i in np.flatnonzero(best > _ALIKE)]
