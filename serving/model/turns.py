"""Which request runs next, and how one is ended: requests run in steps, which take turns.

The one with the fewest pixels left is next, so that a small image does not wait behind large ones; a tiny one
does not even wait for the end of the tile of a large one. For a while after it the tiles of large ones are
fine, and their operations short. So that no large one is passed over for ever, the oldest is next once three
times the work of its step went before it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import tensorflow as tf
from tensorflow.python.eager import cancellation

T = TypeVar("T")
PATIENCE = 3  # how many times its own step the oldest request lets go before it
SMALL = 1 << 20  # pixels up to which a request is small
TINY = 1 << 18  # pixels up to which it runs beside another: a part of a second of the cores
FINE_SECONDS = 30.0  # after a tiny request, for which the tiles of larger ones are fine
PAUSE_SECONDS = 10.0  # that large requests wait at most while a version is loaded
LEAST = 1 << 16  # pixels that a step counts for at least: the smallest image costs some time, too
_ages = itertools.count()


class Cancelled(Exception):
    """A request was cancelled before it was answered."""


class Work:
    """What is left to do for one request. It runs in a thread, and can be cancelled from any other."""

    def __init__(self, pixels: int = 0, turns: Turns | None = None, client: str = "") -> None:
        """Creates the work.

        Args:
            pixels: what is to be done, in pixels of its images.
            turns: the steps that other requests take in turns with this one; None: it waits for nobody.
            client: who asks, as far as the address tells.
        """
        self.pixels = self.remaining = self.step = pixels
        self.client = client
        self.age = next(_ages)
        self.woken = threading.Event()
        self._turns, self._cancelled = turns, False
        self._lock = threading.Lock()
        self._manager: cancellation.CancellationManager | None = None

    @property
    def fine(self) -> bool:
        """Whether its steps had better be short: it is not tiny, and requests come that are."""
        return self.pixels > TINY and self._turns is not None and self._turns.tiny_lately

    def cancel(self) -> None:
        """Ends the work: at the next operation of TensorFlow, or where it waits."""
        with self._lock:
            self._cancelled = True
            if self._manager:
                self._manager.start_cancel()
        self.woken.set()

    def check(self) -> None:
        """Raises `Cancelled` if the work was cancelled."""
        if self._cancelled:
            raise Cancelled

    def run(self, function: Callable[[], T]) -> T:
        """Runs a function, whose TensorFlow operations end if the work is cancelled, without a turn."""
        try:
            found = self._run(function)
        except tf.errors.CancelledError:
            # An operation that fails cancels the others, and TensorFlow may tell of one of those instead.
            self.check()
            found = self._run(function)
        self.check()
        return found

    def _run(self, function: Callable[[], T]) -> T:
        manager = cancellation.CancellationManager()
        with self._lock:
            self.check()
            self._manager = manager
        with cancellation.CancellationManagerContext(manager):
            return function()

    def take_turn(self, function: Callable[[], T], pixels: int) -> T:
        """Runs a function when its turn comes, after which that many pixels less are left."""
        self.step = pixels
        with self._turns.turn(self) if self._turns else contextlib.nullcontext():
            found = self.run(function)
        self.remaining -= pixels
        return found


class Order:
    """The works that wait, and which is next: that with the fewest pixels left, unless told otherwise."""

    def __init__(self, before: Callable[[Work], int] = lambda work: 0) -> None:
        """Creates it.

        Args:
            before: pixels that count as if they were left, too.
        """
        self._before, self._waiting = before, set[Work]()
        self._passed = 0  # pixels that went before the oldest since it last was next

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Work]:
        return iter(self._waiting)

    def add(self, work: Work) -> None:
        """Lets a work wait."""
        self._waiting.add(work)

    def leave(self, work: Work) -> None:
        """Lets a work that waits go away."""
        self._waiting.remove(work)

    def next(self, may: Callable[[Work], bool] = lambda work: True) -> Work | None:
        """The next of those that may, which stays in the order; None if there is none."""
        those = [work for work in self._waiting if may(work)]
        oldest = min(those, key=_age, default=None)
        if oldest and self._passed >= PATIENCE * cost_of(oldest):
            return oldest
        return min(those, key=lambda work: (self._before(work) + work.remaining, work.age), default=None)

    def take(self, work: Work) -> None:
        """Takes a work out, as its turn has come."""
        oldest = min(self._waiting, key=_age)
        self._passed = 0 if work is oldest else self._passed + cost_of(work)
        self._waiting.remove(work)


def _age(work: Work) -> int:
    return work.age


def cost_of(work: Work) -> int:
    """What a step of a work counts for, in pixels."""
    return max(work.step, LEAST)


class Turns:
    """Lets one step run at a time, as TensorFlow spreads it over all cores, and one of a tiny request beside.

    The two share the cores then: the tiny one takes longer than alone, but waits for no tile of the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._order = Order()
        self._running: list[Work] = []
        self._only_small = False
        self._tiny_until = -math.inf

    @property
    def tiny_lately(self) -> bool:
        """Whether a tiny request came in the last half minute."""
        return time.monotonic() < self._tiny_until

    @contextlib.contextmanager
    def only_small(self) -> Iterator[None]:
        """Lets large requests wait until the context ends, for some seconds at most."""
        timer = threading.Timer(PAUSE_SECONDS, self._resume)
        timer.daemon = True
        with self._lock:
            self._only_small = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._resume()

    def _resume(self) -> None:
        with self._lock:
            self._only_small = False
            self._grant()

    @contextlib.contextmanager
    def turn(self, work: Work) -> Iterator[None]:
        """Waits for the turn of `work`, which lasts until the context ends.

        Raises:
            Cancelled: the work was cancelled meanwhile.
        """
        with self._lock:
            if work.pixels <= TINY:
                self._tiny_until = time.monotonic() + FINE_SECONDS
            work.woken.clear()
            self._order.add(work)
            self._grant()
        try:
            work.check()  # it may have been cancelled before `clear`
            work.woken.wait()
            work.check()
            yield
        finally:
            with self._lock:
                if work in self._running:
                    self._running.remove(work)
                    self._grant()
                else:
                    self._order.leave(work)

    def _grant(self) -> None:
        while work := self._order.next(self._may):
            self._order.take(work)
            self._running.append(work)
            work.woken.set()

    def _may(self, work: Work) -> bool:
        if self._only_small and work.remaining > SMALL:
            return False
        return not self._running or (
            work.pixels <= TINY and all(running.pixels > TINY for running in self._running)
        )
