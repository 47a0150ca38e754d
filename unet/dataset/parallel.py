"""Spreads work over the cores of this machine, with results in order."""

from __future__ import annotations

import concurrent.futures
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from unet.images.capacity import cores

Answer = TypeVar("Answer")


Item = TypeVar("Item")


def in_order(
    pool: concurrent.futures.ThreadPoolExecutor, function: Callable[[Item], Answer], items: Iterable[Item]
) -> Iterator[Answer]:
    """Applies a function as `pool.map` does, but with only a few waiting results for any number of items."""
    waiting: deque[concurrent.futures.Future[Answer]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > 2 * cores():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
