"""Long tasks: their progress reports, and the request to end, which waits until all state is whole.

Reports are log records of one logger, which a run's driver may display. As for the request: Python handles a
signal as soon as native code returns: in a training after the weights changed, before the step was counted.
Whoever handles signals asks here first whether the task ends by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping

logger = logging.getLogger("unet.progress")
_deferred = threading.Event()
_requested = threading.Event()


def report(title: str, step: int, steps: int, values: Mapping[str, float] | None = None) -> None:
    """Reports that `step` of `steps` are done.

    Args:
        title: name of the task, such as "training".
        step: number of steps done, from 1.
        steps: total number of steps.
        values: current values to display, by name, such as "loss" or "IoU".
    """
    logger.info("%s", title, extra={"step": step, "steps": steps, "values": dict(values or {})})


@contextlib.contextmanager
def shown_by(handler: logging.Handler) -> Iterator[None]:
    """Sends progress reports to a handler alone, not to other logs, while the block runs."""
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class Count:
    """Counts finished steps over several threads of this process, and reports each."""

    def __init__(self, title: str, steps: int):
        """Args: title: name of the task; steps: total number of steps."""
        self._title, self._steps, self._done = title, steps, 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Counts and reports one more finished step."""
        with self._lock:
            self._done += 1
            report(self._title, self._done, self._steps)


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
