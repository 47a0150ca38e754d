"""A file that takes some disk while a run works, so that its end can be recorded on a full disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_SIZE = 4 << 20  # bytes: the record, the summary, and most reports


def hold(path: Path) -> None:
    """Writes the file, or keeps one that a killed run left; raises `OSError`."""
    if path.is_file() and path.stat().st_size == _SIZE:
        return
    path.write_bytes(os.urandom(_SIZE))  # which no file system makes smaller


def release(path: Path) -> None:
    """Removes the file, if there is one."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
