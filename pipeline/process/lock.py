"""One run at a time on one root. The kernel drops the lock with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from unet.files import FULL, raise_passing, told_of_no_locks

_PATIENCE = 0.3  # seconds: `holder` holds the lock for a moment


class Locked(RuntimeError):
    """Another process holds the lock; the message says which."""


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock file for the time of the block; raises `Locked` at once when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with told_of_no_locks(path.parent):
            free = _try_for(descriptor, _PATIENCE)
        if not free:
            process = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Locked(f"another run (process {process}) is working on {path.parent}")
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:  # on a full disk the lock holds as well, but does not say whose it is
            if error.errno not in FULL:
                raise
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """The process that holds the lock file; 0 if it does not say, None if there is none.

    Raises:
        OSError: the file could not be opened for a reason that may pass.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise_passing(error)  # else a run that is at work would count as killed
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return None


def _try_for(descriptor: int, seconds: float) -> bool:
    """Whether the lock could be had within the time."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True
