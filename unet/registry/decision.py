"""How a model decides which class a pixel is of, alike in NumPy and in TensorFlow.

The operating point in a training record (`unet.registry.records`) says it: a `threshold` of the probability
of the second of two classes, or `factors`, one for each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.registry.records import operating_point


@dataclass(frozen=True)
class Decision:
    """A pixel is of the class of the highest score, factor * probability + offset; of equal ones, the first.

    Attributes:
        factors: factor of each class, float32 [classes].
        offsets: what is added to the product of each class, float32 [classes].
    """

    factors: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @classmethod
    def of(cls, point: Mapping[str, Any]) -> Decision:
        """The decision of an operating point."""
        if "threshold" in point:  # the second class's score is its probability, the first one's the threshold
            return cls(np.array([0, 1], np.float32), np.array([point["threshold"], 0], np.float32))
        factors = np.array(point["factors"], np.float32)
        return cls(factors, np.zeros_like(factors))


def scores(probabilities: Any, decision: Decision | None) -> Any:
    """Scores of all classes, of which the highest decides.

    Args:
        probabilities: array or tensor of float32, [..., classes].
        decision: how the model decides; None: the most likely class, of which outputs of any kind may come.
    """
    return probabilities if decision is None else probabilities * decision.factors + decision.offsets


def decision_of(records: Sequence[Mapping[str, Any]]) -> Decision | None:
    """How a model decides, or the mean of several; None: the most likely class.

    Args:
        records: training records of the models.
    """
    point = operating_point(records)
    return Decision.of(point) if point else None
