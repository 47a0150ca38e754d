"""Runs predictions with a bounded queue, limited concurrency, a time limit and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.errors import Refused
from serving.metrics import RUNNING, WAITING
from serving.model.loaded import Cancellation, Cancelled, LoadedModel
from serving.model.versions import Versions

T = TypeVar("T")
# A function that computes a prediction with the model, in its own thread.
Job = Callable[[LoadedModel, Cancellation], T]


class Predictor:
    """Runs predictions in threads, as TensorFlow releases the GIL; the event loop only waits."""

    def __init__(self, versions: Versions, concurrent: int, queue: int, seconds: float) -> None:
        """Creates a predictor.

        Args:
            versions: source of the model, which is queried for each prediction.
            concurrent: maximum number of predictions that run at once.
            queue: maximum number of waiting predictions.
            seconds: time limit of a prediction, including its waiting time.
        """
        self._versions, self._queue, self._seconds = versions, queue, seconds
        self._slots = asyncio.Semaphore(concurrent)
        self._threads = ThreadPoolExecutor(concurrent, "prediction")
        self._waiting = 0
        self._cancellations: set[Cancellation] = set()

    async def run(self, job: Job[T], version: int | None = None) -> T:
        """Runs `job` with the model that is served when its turn comes; returns its result.

        If the caller is cancelled because its client disconnected, the computation is cancelled, too.

        Args:
            job: function that computes the prediction.
            version: number of the required version; the request is refused if another one is served.

        Raises:
            Refused: the server is overloaded or too slow, has no model, or `job` refused the request.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        await self._turn()
        # The thread may outlive the caller, so it frees its slot itself.
        cancel = Cancellation()
        running = self._threads.submit(self._call, job, version, cancel)
        self._cancellations.add(cancel)
        RUNNING.inc()
        done = asyncio.wrap_future(running)
        done.add_done_callback(lambda future: self._finished(future, cancel))
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            return await asyncio.wait_for(asyncio.shield(done), left)
        except asyncio.TimeoutError:
            cancel.cancel()
            raise Refused(504, f"cancelled: the prediction took longer than {self._seconds:g} s") from None
        except asyncio.CancelledError:
            cancel.cancel()
            raise
        except Cancelled:
            raise Refused(503, "the server is stopping", retry_after=2) from None

    def cancel_all(self) -> None:
        """Cancels all running predictions when the server stops."""
        for cancel in list(self._cancellations):
            cancel.cancel()

    async def _turn(self) -> None:
        if self._slots.locked() and self._waiting >= self._queue:
            raise Refused(503, f"overloaded: {self._waiting} predictions wait already", retry_after=1)
        self._waiting += 1
        WAITING.set(self._waiting)
        try:
            await asyncio.wait_for(self._slots.acquire(), self._seconds)
        except asyncio.TimeoutError:
            raise Refused(503, f"overloaded: no turn within {self._seconds:g} s", retry_after=5) from None
        finally:
            self._waiting -= 1
            WAITING.set(self._waiting)

    def _call(self, job: Job[T], version: int | None, cancel: Cancellation) -> T:
        with self._versions.current(version) as model:
            return job(model, cancel)

    def _finished(self, future: asyncio.Future[T], cancel: Cancellation) -> None:
        self._slots.release()
        self._cancellations.discard(cancel)
        RUNNING.dec()
        with contextlib.suppress(asyncio.CancelledError):
            future.exception()  # retrieved, or asyncio would log it if the caller is gone
