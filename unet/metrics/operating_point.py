"""The operating point of a model of two classes: the threshold that serves a stated aim best on given images.

A pixel is of the second class where its probability is above the threshold. Candidates are the multiples of
2^-16, the resolution of exported probabilities: two histograms of the probability, one for the pixels of each
true class, say what every candidate gives, and are all that is held of the images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 2**16


def histogram(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts probabilities so that those above k / BINS are in the bins after bin k, [BINS + 1]."""
    # Exact: multiplying by a power of two rounds nothing. A mean of probabilities may round to more than 1.
    bins = np.minimum(np.ceil(probabilities.ravel() * np.float32(BINS)), BINS)
    return np.bincount(bins.astype(np.int64), minlength=BINS + 1)


def choose(negatives: NDArray[np.int64], positives: NDArray[np.int64], aim: str) -> dict[str, Any]:
    """Chooses the threshold that serves an aim best.

    For "dice" that of the best Dice coefficient; for "precision>=X" that of the highest recall among those
    of at least that precision, and for "recall>=X" the other way round. Of thresholds with equal results the
    nearest to 0.5 is taken. Where nothing can be chosen it is 0.5, the most likely class.

    Args:
        negatives: `histogram` of the pixels of the first class.
        positives: `histogram` of the pixels of the second class.
        aim: the setting `operating_point`, which is not "argmax".

    Returns:
        `aim`; `threshold`; `why_not`, a sentence if nothing could be chosen, else empty; and `argmax` and
        `chosen`: `precision`, `recall` and `dice` of the second class without and with the threshold, None
        where they are not defined.
    """
    hits, false = (np.cumsum(counts[:0:-1])[::-1] for counts in (positives, negatives))  # [BINS] each
    real = positives.sum()
    with np.errstate(invalid="ignore"):
        measured = {
            "precision": hits / (hits + false),
            "recall": hits / np.float64(real),
            "dice": 2 * hits / np.float64(real + hits + false),
        }
    middle = BINS // 2
    best, why_not = middle, ""
    metric, _, bound = aim.partition(">=")
    if not real:
        why_not = "no pixel of the eval images is of the class"
    else:
        # NaN, where no pixel is predicted, is never the best.
        goal, other = (np.nan_to_num(measured[name], nan=-1.0) for name in (metric, _OTHER[metric]))
        good = goal >= float(bound or 0)
        if good.any():
            for values in (other, goal) if bound else (goal,):
                good &= values == values[good].max()
            candidates = np.flatnonzero(good)
            best = int(candidates[np.argmin(np.abs(candidates - middle))])
        else:
            why_not = f"no threshold reaches it on the eval images: the best {metric} is {goal.max():.3f}"
    return {
        "aim": aim,
        "threshold": best / BINS,
        "why_not": why_not,
        **{
            key: {name: _number(values[k]) for name, values in measured.items()}
            for key, k in (("argmax", middle), ("chosen", best))
        },
    }


_OTHER = {"precision": "recall", "recall": "precision", "dice": "dice"}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)  # JSON has no NaN
