"""Runs predictions: a bounded queue, a bounded number in progress, a time limit and cancellation."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.errors import Refused
from serving.memory import Releaser
from serving.metrics import RUNNING, WAITING
from serving.model.loaded import LoadedModel
from serving.model.turns import SMALL, Cancelled, Order, Turns, Work, cost_of
from serving.model.versions import Versions

T = TypeVar("T")
PACE_SECONDS = 60.0  # over which the pace of large requests is measured
# A function that computes a prediction with the model, in its own thread.
Job = Callable[[LoadedModel, Work], T]


class Admission:
    """Which requests are in progress, and hold the memory of their images: a few, the small ones first.

    One place is kept for small requests, and the large ones in progress together have no more pixels than
    the largest request may have. Clients have equal shares of what is let in, counted in pixels: what was
    let in of a client counts against what it asks for next, for as long as it asks.
    """

    def __init__(self, places: int, max_pixels: int) -> None:
        """Creates it.

        Args:
            places: number of requests in progress at once.
            max_pixels: number of pixels of the large ones together.
        """
        self._places, self._max_pixels = places, max_pixels
        self.waiting = Order(lambda work: self._given[work.client])
        self._inside: list[Work] = []
        # Pixels let in of each client that has requests here. One that comes begins with the least of those
        # that wait: whoever has one slow request in progress sets no start for others.
        self._given: dict[str, int] = {}

    def add(self, work: Work) -> None:
        """Lets a request wait."""
        here = {other.client for other in (*self.waiting, *self._inside)}
        self._given = {client: given for client, given in self._given.items() if client in here}
        self._given.setdefault(work.client, self._least())
        self.waiting.add(work)

    def too_many(self, new: Work) -> Work:
        """Which of those that wait has to go as there is one too many: the last of whoever has the most."""
        counts = collections.Counter(work.client for work in self.waiting)
        if counts[new.client] == max(counts.values()):
            return new
        return max(self.waiting, key=lambda work: (counts[work.client], work.age))

    def next(self) -> Work | None:
        """Lets the next request in that there is room for, and returns it."""
        found = self.waiting.next()
        if found and not self._fits(found):
            found = self.waiting.next(lambda work: work.pixels <= SMALL)
        if not found or not self._fits(found):
            return None
        self.waiting.take(found)
        self._inside.append(found)
        self._given[found.client] += cost_of(found)
        return found

    def leave(self, work: Work) -> None:
        """Makes the room of a request free."""
        self._inside.remove(work)

    def large_before(self, work: Work) -> int:
        """Pixels of large requests that are done before a new one: of those that have no more left than it.

        Where there is no room for it beside those in progress, it waits for them, too. Of other clients, it
        waits for as many as are let in before it.
        """
        fits = self._fits(work)
        before = [other for other in self._inside if not fits or other.remaining <= work.pixels]
        smaller = sorted(self.waiting, key=lambda other: other.remaining)
        smaller = [other for other in smaller if other.remaining <= work.pixels]
        own = sum(other.remaining for other in smaller if other.client == work.client)
        share = self._given.get(work.client, self._least()) + own + work.pixels
        given = dict(self._given)
        for other in smaller:
            given[other.client] += other.remaining
            if other.client == work.client or given[other.client] <= share:
                before.append(other)
        return sum(other.remaining for other in before if other.pixels > SMALL)

    def _least(self) -> int:
        those = {work.client for work in self.waiting} or self._given
        return min((self._given[client] for client in those), default=0)

    def _fits(self, work: Work) -> bool:
        if work.pixels <= SMALL:
            return len(self._inside) < self._places
        large = [other.pixels for other in self._inside if other.pixels > SMALL]
        kept = 1 if self._places > 1 else 0
        return (
            len(self._inside) < self._places
            and len(large) < self._places - kept
            and (not large or sum(large) + work.pixels <= self._max_pixels)
        )


class Pace:
    """How fast large requests are done, by those of the last minutes; what small ones take is not theirs."""

    def __init__(self) -> None:
        self._pixels = self._seconds = 0.0  # of which older ones count less and less
        self._since: float | None = None  # when there were large ones, and none of them had ended yet

    def begin(self, now: float) -> None:
        """A large request has come."""
        if self._since is None:
            self._since = now

    def end(self, now: float, done: int, others: bool) -> None:
        """A large request has ended.

        Args:
            now: the time, in seconds.
            done: pixels of it that were done.
            others: whether there are other large ones.
        """
        if done and self._since is not None:  # what was left at once says nothing of the pace
            seconds = now - self._since
            kept = math.exp(-seconds / PACE_SECONDS)
            self._pixels, self._seconds = kept * self._pixels + done, kept * self._seconds + seconds
            self._since = now
        if not others:
            self._since = None

    def seconds(self, pixels: int) -> float:
        """How long so many pixels of large requests take; 0 as long as that is unknown."""
        return pixels * self._seconds / self._pixels if self._pixels else 0.0


class Predictor:
    """Runs predictions in threads, as TensorFlow releases the GIL; the event loop only waits."""

    def __init__(
        self,
        versions: Versions,
        concurrent: int,
        queue: int,
        seconds: float,
        max_pixels: int,
        releaser: Releaser,
        turns: Turns,
    ) -> None:
        """Creates a predictor.

        Args:
            versions: source of the model, which is queried for each prediction.
            concurrent: maximum number of predictions in progress at once.
            queue: maximum number of waiting predictions.
            seconds: time limit of a prediction, including its waiting time.
            max_pixels: maximum number of pixels of one request.
            releaser: gives memory back after large requests.
            turns: decides which step runs next.
        """
        self._releaser = releaser
        self._versions, self._queue, self._seconds, self._max_pixels = versions, queue, seconds, max_pixels
        self._admission, self._turns = Admission(concurrent, max_pixels), turns
        self._threads = ThreadPoolExecutor(concurrent, "prediction")
        self._admitted: dict[Work, asyncio.Future[None]] = {}  # of those that wait
        self._running: set[Work] = set()
        self._pace, self._large = Pace(), 0  # large requests that wait or are in progress

    async def run(self, job: Job[T], pixels: int, version: int | None = None, client: str = "") -> T:
        """Runs `job` with the model that is served when its turn comes; returns its result.

        If the caller is cancelled because its client disconnected, the computation is cancelled, too.

        Args:
            job: function that computes the prediction.
            pixels: number of pixels that the request declares.
            version: number of the required version; the request is refused if another one is served.
            client: who asks, as far as the address tells; clients have equal shares.

        Raises:
            Refused: the server is overloaded or too slow, has no model, or `job` refused the request.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        work = Work(min(pixels, self._max_pixels), self._turns, client)  # `job` refuses more
        with self._paced(work):
            return await self._run(job, version, work, deadline)

    async def _run(self, job: Job[T], version: int | None, work: Work, deadline: float) -> T:
        await self._admit(work)
        # The thread may outlive the caller, so it frees its place itself.
        done = asyncio.wrap_future(self._threads.submit(self._call, job, version, work))
        self._running.add(work)
        RUNNING.inc()
        done.add_done_callback(lambda future: self._finished(future, work))
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            return await asyncio.wait_for(asyncio.shield(done), left)
        except asyncio.TimeoutError:
            work.cancel()
            raise Refused(504, f"cancelled: the prediction took longer than {self._seconds:g} s") from None
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Cancelled:
            raise Refused(503, "the server is stopping", retry_after=2) from None

    @contextlib.contextmanager
    def _paced(self, work: Work) -> Iterator[None]:
        """Refuses a large request that would be cancelled for those before it, and measures one that is not.

        What comes before may take half of the time limit, so that the other half is left for itself.
        """
        if work.pixels <= SMALL:
            yield
            return
        time = asyncio.get_running_loop().time
        wait = self._pace.seconds(self._admission.large_before(work))
        if wait > self._seconds / 2:
            after = min(60, math.ceil(wait - self._seconds / 2))
            raise Refused(503, f"overloaded: large images of {wait:.0f} s wait already", retry_after=after)
        self._pace.begin(time())
        self._large += 1
        try:
            yield
        finally:
            self._large -= 1
            self._pace.end(time(), work.pixels - work.remaining, others=self._large > 0)

    def cancel_all(self) -> None:
        """Cancels all running predictions when the server stops."""
        for work in list(self._running):
            work.cancel()

    async def _admit(self, work: Work) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._admission.add(work)
        self._admitted[work] = admitted
        self._let_in()
        if not admitted.done() and len(self._admission.waiting) > self._queue:
            self._turn_away(self._admission.too_many(work))
        try:
            await asyncio.wait_for(asyncio.shield(admitted), self._seconds)
        except asyncio.TimeoutError:
            self._give_up(work, admitted)
            raise Refused(503, f"overloaded: no turn within {self._seconds:g} s", retry_after=5) from None
        except asyncio.CancelledError:
            self._give_up(work, admitted)
            raise

    def _turn_away(self, work: Work) -> None:
        """Refuses a request that waits."""
        self._admission.waiting.leave(work)
        count = len(self._admission.waiting)
        refused = Refused(503, f"overloaded: {count} predictions wait already", retry_after=1)
        self._admitted.pop(work).set_exception(refused)
        self._let_in()

    def _let_in(self) -> None:
        while work := self._admission.next():
            self._admitted.pop(work).set_result(None)
        WAITING.set(len(self._admission.waiting))

    def _give_up(self, work: Work, admitted: asyncio.Future[None]) -> None:
        """Ends the waiting of a request, which may have been let in or turned away at the same moment."""
        if self._admitted.pop(work, None):
            self._admission.waiting.leave(work)
        elif admitted.exception() is None:
            self._admission.leave(work)
        self._let_in()

    def _call(self, job: Job[T], version: int | None, work: Work) -> T:
        with self._versions.current(version) as model:
            return job(model, work)

    def _finished(self, future: asyncio.Future[T], work: Work) -> None:
        self._running.discard(work)
        RUNNING.dec()
        self._admission.leave(work)
        self._let_in()
        if work.pixels > SMALL:
            self._releaser.soon()
        with contextlib.suppress(asyncio.CancelledError):
            future.exception()  # retrieved, or asyncio would log it if the caller is gone
