"""Processes that Beam starts on this machine to work for a run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from unet.fingerprint import CHECKOUT

_THREAD = "run_worker"  # Beam's name of the threads that wait for its processes
_SECONDS_BETWEEN = 5.0


class WorkerLost(RuntimeError):
    """A worker process of Beam was killed, or ended by itself."""


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Lets processes that are started meanwhile import this project, whatever folder the run began in."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raises `WorkerLost` in the main thread when a worker process ends badly: Beam would wait for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no exception of a signal comes here
        return
    reasons: list[str] = []
    lost, ended = threading.Event(), threading.Event()

    def told(failure: threading.ExceptHookArgs) -> None:
        before(failure)
        if failure.thread is not None and failure.thread.name == _THREAD:
            reasons.append(str(failure.exc_value))
            lost.set()

    def insist() -> None:
        lost.wait()
        # Again, as an exception may come where Python can only ignore it, or where Beam waits once more.
        while not ended.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            ended.wait(_SECONDS_BETWEEN)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not ended.is_set():
            raise WorkerLost(f"a worker of Beam is lost ({reasons[0]}): run the same command again")

    before, threading.excepthook = threading.excepthook, told
    handler = signal.signal(signal.SIGUSR1, interrupt)
    insisting = threading.Thread(target=insist, daemon=True)
    insisting.start()
    try:
        yield
    finally:
        ended.set()
        lost.set()
        insisting.join()
        threading.excepthook = before
        signal.signal(signal.SIGUSR1, handler)
