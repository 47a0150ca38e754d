"""Pixels stretched for people to see: networks get them as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOOKED_AT = 1 << 20  # pixels, for the percentiles


def stretch_table(grey: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """What is shown for each stored value: two percentiles of the grey values become black and white.

    A table instead of arithmetic on each pixel, which would take floats of the whole image.

    Args:
        grey: uint8 or uint16, any shape.
        black: percentile of what is shown black, 0 to 100.
        white: likewise, above it.

    Returns:
        [256] or [65536], by the type of the pixels.
    """
    some = grey.reshape(-1)[:: max(1, grey.size // _LOOKED_AT)]
    low, high = np.percentile(some, [black, white])
    values = np.arange(np.iinfo(grey.dtype).max + 1)
    return (np.clip((values - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)
