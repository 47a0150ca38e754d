"""A request to end the process, which waits for an instant at which all state is whole.

Python handles a signal as soon as native code returns: in a training that is after the weights changed, and
before the step was counted. Whoever handles signals asks here first whether the work at hand ends by itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_deferred = threading.Event()
_requested = threading.Event()


class Interrupted(KeyboardInterrupt):
    """Raised by `end_if_requested`, where the state is whole."""


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Promises that the block calls `end_if_requested` again and again; afterwards a request is forgotten."""
    _requested.clear()
    _deferred.set()
    try:
        yield
    finally:
        _deferred.clear()


def request() -> bool:
    """Asks the work at hand to end; returns whether it ends by itself at the next instant that suits it."""
    if _deferred.is_set():
        _requested.set()
    return _deferred.is_set()


def end_if_requested() -> None:
    """Raises `Interrupted` if the process was asked to end."""
    if _requested.is_set():
        _requested.clear()
        raise Interrupted
