"""Right and wrong pixels of a mask, and their shares of the foreground, as the report shows them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIGHT, MISSED, TOO_MUCH, OTHER = 1, 2, 3, 4
KINDS = {"right": RIGHT, "missed": MISSED, "too_much": TOO_MUCH, "other": OTHER}


def kinds_of_error(
    ground_truth: NDArray[np.uint8], predicted: NDArray[np.uint8], ignored: int, first: int = 1
) -> NDArray[np.uint8]:
    """Returns for each pixel `RIGHT`, `MISSED`, `TOO_MUCH`, `OTHER` (wrong class), or 0, [H, W].

    0 marks correct background and ignored pixels. Without a background (`first` is 0), nothing is missed or
    too much: a class is taken for another.

    Args:
        ground_truth: class indices, [H, W].
        predicted: class indices, [H, W].
        ignored: class index of pixels that are not counted.
        first: index of the first class of the foreground.
    """
    kinds = np.zeros(ground_truth.shape, np.uint8)
    if not first:
        kinds[:] = np.where(ground_truth == predicted, RIGHT, OTHER)
        kinds[ground_truth == ignored] = 0
        return kinds
    kinds[(ground_truth > 0) & (ground_truth == predicted)] = RIGHT
    kinds[(ground_truth > 0) & (predicted == 0)] = MISSED
    kinds[(ground_truth == 0) & (predicted > 0)] = TOO_MUCH
    kinds[(ground_truth > 0) & (predicted > 0) & (ground_truth != predicted)] = OTHER
    kinds[ground_truth == ignored] = 0
    return kinds


def shares(kinds: NDArray[np.uint8]) -> dict[str, float]:
    """Returns the share of each kind: `right`, `missed`, `too_much`, and `other`, a class taken for another.

    Args:
        kinds: what `kinds_of_error` returned, [H, W]. They are shares of its pixels that are not 0: those of
            the foreground, true or predicted, or of all that count where there is no background.
    """
    counted = max(int((kinds > 0).sum()), 1)
    return {name: float((kinds == kind).sum() / counted) for name, kind in KINDS.items()}
