"""How much of the machine this process takes: the whole plan, or a smaller one with the same results.

The plan is no setting: what is computed, and so every key of the cache, is the same under both.
"""

from __future__ import annotations

import os

_CACHE_BYTES = 2**28
_smaller = False


def plan_smaller(smaller: bool) -> None:
    """Chooses the plan of this process, before its work begins.

    Args:
        smaller: whether to read one image at a time and to decode each tile anew; otherwise all cores read,
            and few tiles are kept decoded.
    """
    global _smaller
    _smaller = smaller


def cores(smaller: bool | None = None) -> int:
    """Number of processor cores that read images.

    Args:
        smaller: the plan that is asked about; None: the plan of this process.
    """
    if _smaller if smaller is None else smaller:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_bytes(smaller: bool | None = None) -> int:
    """Bytes of decoded pixels that a training may cache, separately for images and masks.

    Args:
        smaller: the plan that is asked about; None: the plan of this process.
    """
    return 0 if (_smaller if smaller is None else smaller) else _CACHE_BYTES
