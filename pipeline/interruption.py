"""Stopping by a signal: Ctrl-C, and SIGTERM, by which a scheduler ends a run."""

from __future__ import annotations

import signal
from types import FrameType

SECONDS_BETWEEN = 2.0
_received: list[int] = []


def install() -> None:
    """Makes SIGTERM raise `KeyboardInterrupt` as Ctrl-C does, again and again until `settle` is called.

    Once is not enough: an exception that is raised while a library runs a callback or a destructor is lost. A
    process that a shell started in the background ignores SIGINT; that stays so.
    """
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _raise)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _raise)


def settle() -> None:
    """The exception has arrived: no more of them."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def happened() -> bool:
    """Whether a signal asked to stop; Beam may have made another exception of the `KeyboardInterrupt`."""
    return bool(_received)


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_BETWEEN)
    raise KeyboardInterrupt
