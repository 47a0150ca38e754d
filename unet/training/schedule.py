"""The learning-rate schedule of a training, whose budget is given in steps or in minutes."""

from __future__ import annotations

import math

WARMUP_STEPS = 50


def rate_factor(schedule: str, progress: float, step: int) -> float:
    """Factor by which the schedule multiplies the learning rate.

    Args:
        schedule: cosine, (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017, equation 5 without restarts);
            polynomial, (1 - t)^0.9 (as in DeepLab and nnU-Net); or constant.
        progress: t, the share of the budget that is used up, 0 to 1.
        step: number of steps done. During the first `WARMUP_STEPS`, or the first tenth of a shorter budget,
            the factor rises from 0.1: the full rate is too high for he_normal weights and Adam's empty
            moments.
    """
    if schedule == "constant":
        return 1.0
    rise = 0.1 + 0.9 * min(1.0, max(step / WARMUP_STEPS, 10 * progress))
    left = 1 - min(max(progress, 0.0), 1.0)
    return rise * ((1 - math.cos(math.pi * left)) / 2 if schedule == "cosine" else left**0.9)
