"""Gives memory that large requests took back to the operating system.

The C library keeps what is freed for later, and errors of refused requests keep the values that were refused
until Python's collector runs: both soon after a large request, and seldom enough to cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import threading
from typing import Any

SECONDS = 2.0  # after a large request; and between two times


class Releaser:
    """Gives memory back after large requests."""

    def __init__(self) -> None:
        self._due = False
        self._lock = threading.Lock()

    def soon(self) -> None:
        """Gives memory back in some seconds; called by the event loop after a large request."""
        if not self._due:
            self._due = True
            loop = asyncio.get_running_loop()
            loop.call_later(SECONDS, lambda: loop.run_in_executor(None, self._release))

    def _release(self) -> None:
        self._due = False
        with self._lock:  # Python's collector does nothing while another thread is in it
            release()


def release() -> None:
    """Collects what is unreachable, and gives back what is free."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than that of GNU
        library: Any = ctypes.CDLL(None)
        library.malloc_trim(0)
