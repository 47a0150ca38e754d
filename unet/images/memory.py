"""One large image at a time: all cores read small ones, but the memory of a large one is not taken by each.

What is large shows in the header, not in the size of the file: a blank image of 400 megapixels is a file of
half a megabyte.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LARGE_FILE = 32 << 20  # bytes of a file from which on its header is looked at before the rest is read
LARGE_IMAGE = 16 << 20  # pixels

_large = threading.Lock()
_turns = threading.local()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """From where a large image is met in this block to its end, no other thread is past the same point."""
    if hasattr(_turns, "taken"):  # in a block of this thread: its end is the end
        yield
        return
    _turns.taken = False
    try:
        yield
    finally:
        if _turns.taken:
            _large.release()
        del _turns.taken


def wait_for_turn(pixels: int) -> None:
    """Called by a reader that is about to decode so many pixels; without effect outside `one_at_a_time`."""
    if pixels > LARGE_IMAGE and getattr(_turns, "taken", None) is False:
        _large.acquire()
        _turns.taken = True
