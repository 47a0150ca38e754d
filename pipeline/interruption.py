"""Stopping by a signal: Ctrl-C, and SIGTERM, by which a scheduler ends a run."""

from __future__ import annotations

import signal
from types import FrameType

_received: list[int] = []


def install() -> None:
    """Makes SIGTERM raise `KeyboardInterrupt` as Ctrl-C does, and remembers either.

    A process that a shell started in the background ignores SIGINT; that stays so.
    """
    signal.signal(signal.SIGTERM, _raise)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _raise)


def happened() -> bool:
    """Whether a signal asked to stop; Beam may have made another exception of the `KeyboardInterrupt`."""
    return bool(_received)


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
