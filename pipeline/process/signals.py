"""Stopping by a signal: Ctrl-C, SIGTERM, by which a scheduler ends a run, and SIGHUP of a closed terminal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from pipeline.process.exit_codes import INTERRUPTED
from unet import progress

SECONDS_BETWEEN = 2.0
SECONDS_TO_STOP = 3.0  # then the process ends, whatever the main thread does
SECONDS_TO_SAVE = 12.0  # the same while a training ends by itself after its step, and writes a checkpoint
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_WORDS = 6.0  # seconds that these may take, on a machine that is busy loading libraries
_received: list[int] = []
_first = 0.0  # when the first signal came
_settled = threading.Event()
_settled_at = 0.0
_code = INTERRUPTED  # of a process that is ended here


def install() -> None:
    """Makes SIGTERM and SIGHUP raise `KeyboardInterrupt` as Ctrl-C does, again and again until `settle`.

    Once is not enough: an exception that is raised while a library runs a callback or a destructor is lost. A
    process that a shell started in the background ignores SIGINT, one under `nohup` SIGHUP; that stays so.

    What `unet.progress` lets wait ends by itself, within `SECONDS_TO_SAVE`.
    """
    global _first
    _first = 0.0
    _settled.clear()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _raise)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def settle(code: int = INTERRUPTED) -> None:
    """The end has come, by the exception or by itself: no more exceptions while it is told.

    Args:
        code: that the process ends with if a signal comes when the telling takes long.
    """
    global _settled_at, _code
    _code = code
    signal.setitimer(signal.ITIMER_REAL, 0)
    _settled_at = time.monotonic()
    _settled.set()


def happened() -> bool:
    """Whether a signal asked to stop; Beam may have made another exception of the `KeyboardInterrupt`."""
    return bool(_received)


def watch(last_words: Callable[[], None]) -> None:
    """From now on a signal ends the process, also while the main thread is in native code and sees none.

    Where `settle` is not called in time, `last_words` is called in another thread, and the process ends with
    the code of an interruption, or the one that they gave to `settle`.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to at once, by the C code
    threading.Thread(target=_watch, args=(reader, last_words), daemon=True, name="interruption").start()


def _watch(reader: int, last_words: Callable[[], None]) -> None:
    while not set(STOPPING) & set(os.read(reader, 64)):
        pass
    _received.append(signal.SIGINT)
    if _settled.wait(SECONDS_TO_SAVE if progress.request() else SECONDS_TO_STOP):
        return
    end_process(last_words, _code, _LAST_WORDS)


def end_process(last_words: Callable[[], None], code: int, seconds: float) -> NoReturn:
    """Ends this process from any thread, whatever the others do.

    Args:
        last_words: called before; if it calls `settle`, the code is that one.
        code: exit code.
        seconds: time that `last_words` has.
    """
    global _code
    _code = code
    guard = threading.Timer(seconds, _end)
    guard.daemon = True
    guard.start()
    try:
        last_words()
    finally:
        _end()


def _end() -> NoReturn:
    os._exit(_code)


def _raise(number: int, frame: FrameType | None) -> None:
    global _first
    if _settled.is_set():
        if time.monotonic() - _settled_at > SECONDS_TO_STOP:  # the end does not come to an end
            _end()
        return
    _first = _first or time.monotonic()
    _received.append(number)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_BETWEEN)
    if not progress.request() or time.monotonic() - _first > SECONDS_TO_SAVE:
        raise KeyboardInterrupt
