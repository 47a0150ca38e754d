"""When a prediction may run: a bounded queue, a few at once, a limit in time, and no work for nobody."""

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
# What a prediction does with the model, in a thread of its own.
Job = Callable[[LoadedModel, Cancellation], T]


class Predictor:
    """Runs predictions in threads, as TensorFlow lets go of the GIL; the event loop only waits."""

    def __init__(self, versions: Versions, concurrent: int, queue: int, seconds: float) -> None:
        """A predictor.

        Args:
            versions: where the model comes from, anew for each prediction.
            concurrent: predictions that run at once.
            queue: predictions that may wait for their turn.
            seconds: that a prediction may wait and run.
        """
        self._versions, self._queue, self._seconds = versions, queue, seconds
        self._slots = asyncio.Semaphore(concurrent)
        self._threads = ThreadPoolExecutor(concurrent, "prediction")
        self._waiting = 0
        self._cancellations: set[Cancellation] = set()

    async def run(self, job: Job[T], version: int | None = None) -> T:
        """What `job` returns for the model that is served when its turn comes.

        A caller that is cancelled, because its client has gone, cancels the computation.

        Args:
            job: does the work.
            version: refuse if another one is served.

        Raises:
            Refused: overloaded, too slow, no model, or by `job`.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        await self._turn()
        # The thread is not known to end with the caller: it frees its slot itself.
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
        """Ends whatever still runs, when the server has to stop."""
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
            future.exception()  # nobody may be left to hear of it
