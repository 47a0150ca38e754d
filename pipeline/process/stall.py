"""Notices that a run makes no progress any more."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unet.progress import shown_by

LOOKS = 12  # in the time after which nothing is a stall
_SHORTEST, _LONGEST = 0.05, 60.0  # seconds between two looks

Signs = tuple[int, ...]


class StallWatch(logging.Handler):
    """Calls a function, in a thread of its own, when nothing happened for some time while the block runs.

    Signs of progress are the reports of `unet.progress`, the lines of a log, and files that appear or grow.
    """

    def __init__(self, seconds: float, folders: Sequence[Path], on_stall: Callable[[], None]):
        """Makes the watch.

        Args:
            seconds: time without a sign of progress that is a stall; 0: nothing is watched.
            folders: folders whose files are looked at, with those below.
            on_stall: function that is called once.
        """
        super().__init__()
        self._seconds, self._folders, self._on_stall = seconds, folders, on_stall
        self._reports = 0
        self._over = threading.Event()
        self._shown = contextlib.ExitStack()

    def __enter__(self) -> StallWatch:
        if self._seconds:
            self._shown.enter_context(shown_by(self))
            threading.Thread(target=self._watch, daemon=True, name="stall").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._shown.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a report of progress."""
        self._reports += 1

    def _watch(self) -> None:
        pause = min(max(self._seconds / LOOKS, _SHORTEST), _LONGEST)
        seen, last, quiet = self._signs(), time.monotonic(), 0.0
        while not self._over.wait(pause):
            now, signs = time.monotonic(), self._signs()
            # A process that was suspended for a while did not stall in that time.
            quiet = quiet + min(now - last, 2 * pause) if signs == seen else 0.0
            seen, last = signs, now
            if quiet >= self._seconds and not self._over.is_set():
                self._on_stall()
                return

    def _signs(self) -> Signs:
        """Numbers that change with every sign of progress."""
        count = size = newest = 0
        for folder in self._folders:
            for place, _, names in os.walk(folder):
                for name in names:
                    with contextlib.suppress(OSError):  # it was removed meanwhile
                        found = os.stat(os.path.join(place, name))
                        count, size = count + 1, size + found.st_size
                        newest = max(newest, found.st_mtime_ns)
        return self._reports, count, size, newest
