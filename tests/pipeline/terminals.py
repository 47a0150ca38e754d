"""A pseudo-terminal of a given size, and what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """One whose output a thread reads all the time, as the kernel keeps a few thousand bytes only."""

    def __init__(self, columns: int, lines: int):
        """Args: columns, lines: its size."""
        self._ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.raw = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, text: str) -> None:
        """As if somebody had: "\\x03" is Ctrl-C."""
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str, seconds: float = 120) -> None:
        """Returns when the pattern was shown; fails after some time."""
        until = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            assert time.monotonic() < until, self.seen[-3000:]
            time.sleep(0.02)

    def close(self) -> None:
        """Lets go of the programs' end, reads what they left, and closes ours."""
        with suppress(OSError):
            os.close(self.theirs)
        self._reader.join(30)

    @property
    def seen(self) -> str:
        """Everything that was shown so far, without what moves the cursor and colours it."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    @property
    def cursor_is_shown(self) -> bool:
        """Whether the program that hid the cursor brought it back."""
        return self.raw.rfind(SHOW) >= self.raw.rfind(HIDE)

    def _read(self) -> None:
        with suppress(OSError):  # at the end, when nobody holds the other side any more
            while found := os.read(self._ours, 65536):
                self.raw += found.decode(errors="replace")
        os.close(self._ours)


@contextmanager
def terminal(columns: int = 100, lines: int = 40) -> Iterator[Terminal]:
    """A terminal; after the block everything that was written to it is there to be read."""
    found = Terminal(columns, lines)
    try:
        yield found
    finally:
        found.close()
