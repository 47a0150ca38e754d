"""What a run takes while it works, so that its end can be recorded: some disk, and some open files.

The disk may be full by then, or no more files may be opened.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_SIZE = 4 << 20  # bytes: the record, the summary, and most reports
_FILES = 32  # that the report has open at once, with the modules that it loads

_descriptors: list[int] = []


def hold(path: Path) -> None:
    """Writes the file, or keeps one that a killed run left, and opens files; raises `OSError`."""
    while len(_descriptors) < _FILES:
        _descriptors.append(os.open(os.devnull, os.O_RDONLY))
    if path.is_file() and path.stat().st_size == _SIZE:
        return
    path.write_bytes(os.urandom(_SIZE))  # which no file system makes smaller


def release(path: Path) -> None:
    """Removes the file, if there is one, and closes the open ones."""
    while _descriptors:
        os.close(_descriptors.pop())
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
