"""Limits the memory of parallel reading: all cores read small images, but only one reads a large image.

The header tells whether an image is large, not the size of the file: a blank image of 400 megapixels is a
file of half a megabyte.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LARGE_FILE = 32 << 20  # bytes of a file above which the header is read before the rest
LARGE_IMAGE = 16 << 20  # pixels above which an image is large

_large = threading.Lock()
_turns = threading.local()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """From the first large image in this block to the block's end, no other thread decodes a large image."""
    if hasattr(_turns, "taken"):  # nested in another block of this thread, whose end counts
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
    """Waits, before decoding this many pixels, for other large images; only inside of `one_at_a_time`."""
    if pixels > LARGE_IMAGE and getattr(_turns, "taken", None) is False:
        _large.acquire()
        _turns.taken = True
