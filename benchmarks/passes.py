"""Times the passes of a function that predicts an image, here and in the environment of the peers."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 20.0  # seconds, beside which nothing counts that only the first pass does


def seconds_of(run: Callable[[], object], repeats: int) -> list[float]:
    """Returns the seconds of passes after one to warm up; of a pass that takes long, that of one alone.

    Args:
        run: function of one pass.
        repeats: number of passes that are timed, if they take at most `LONG`.
    """
    found = list[float]()
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
        if found[-1] > LONG:
            return found[-1:]
    return found[1:]
