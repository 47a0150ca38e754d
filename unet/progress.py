"""How components say how far they are: records of one logger, which whoever drives the run may show."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping

logger = logging.getLogger("unet.progress")


def report(
    title: str,
    step: int,
    steps: int,
    epoch: int = 1,
    epochs: int = 1,
    values: Mapping[str, float] | None = None,
) -> None:
    """Says that `step` of `steps` are done.

    Args:
        title: what is being done: "training".
        step: from 1.
        steps: all of them.
        epoch: the same in larger pieces, where there are any.
        epochs: all of them.
        values: what is worth seeing, by its name: "loss", "IoU".
    """
    counts = {"epoch": epoch, "epochs": epochs, "step": step, "steps": steps, "values": dict(values or {})}
    logger.info("%s", title, extra=counts)


@contextlib.contextmanager
def shown_by(handler: logging.Handler) -> Iterator[None]:
    """Sends what components report to a handler, and to nobody else's log, while the block runs."""
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
    """Counts what several threads of this process do, and reports it."""

    def __init__(self, title: str, steps: int):
        """Args: title, steps: as for `report`."""
        self._title, self._steps, self._done = title, steps, 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """One more is done."""
        with self._lock:
            self._done += 1
            report(self._title, self._done, self._steps)
