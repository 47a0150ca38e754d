"""The learning-rate schedule of a training, whose budget is given in steps or in minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from unet.training.settings import Training

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


def can_grow(settings: Training) -> bool:
    """Whether a training of more steps begins like this one: no learning rate depends on their number."""
    return settings.schedule == "constant" and settings.minutes is None


def comes_through(settings: Training, state: Mapping[str, Any]) -> bool:
    """Whether a training that can grow comes through the state of a checkpoint, perhaps of fewer steps.

    A training ends with a validation, which one of more steps would not make there: then an earlier
    checkpoint is the one to go on from, so that the result is that of a training without a stop.

    Args:
        settings: settings of the training.
        state: state of the checkpoint, see `unet.training.callbacks.CheckpointCallback`.
    """
    if not can_grow(settings):
        return True  # checkpoints of other numbers of steps have another name
    rows, every = state["curves"].get("steps", []), min(settings.validate_every, settings.steps)
    regular = all(row == every for row in rows[:-1])
    at_its_place = not rows or rows[-1] == every or state["step"] == settings.steps
    return regular and at_its_place and state["step"] <= settings.steps
