"""Reading the body of a request: never more of it than the limits allow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from serving.errors import Refused, bad_request
from serving.metrics import BODIES

T = TypeVar("T")


class BodyReader:
    """Reads bodies; knows how many bytes of them are held at the moment."""

    def __init__(self, max_body: int, max_bodies: int) -> None:
        """A reader.

        Args:
            max_body: bytes of one request.
            max_bodies: bytes of all requests that are being answered.
        """
        self._max_body, self._max_bodies, self._held = max_body, max_bodies, 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, which counts as held until the context ends.

        Raises:
            Refused: it is empty or too large, or all together are.
            ClientDisconnect: the client has gone.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > self._max_body:
            raise self._too_large()
        body = bytearray()
        with contextlib.ExitStack() as held:
            async for chunk in request.stream():
                if len(body) + len(chunk) > self._max_body:
                    raise self._too_large()
                held.enter_context(self.hold(len(chunk)))
                body += chunk
            if not body:
                raise bad_request("the body is empty")
            yield bytes(body)

    @contextlib.contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Counts some bytes as held until the context ends; refuses if all together are too many."""
        if self._held + count > self._max_bodies:
            raise Refused(503, "overloaded: too many large requests at once", retry_after=1)
        self._held += count
        BODIES.set(self._held)
        try:
            yield
        finally:
            self._held -= count
            BODIES.set(self._held)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is too large: at most {self._max_body} bytes are accepted")


async def while_connected(request: Request, answer: Awaitable[T]) -> T:
    """The answer; cancelled when the client, whose whole request has come, goes away before it.

    Raises:
        ClientDisconnect: it went.
    """
    task = asyncio.ensure_future(answer)
    # After the body, the next message of the protocol can only be that the client has gone.
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def require_json(request: Request) -> None:
    """Refuses a body that does not say that it is JSON.

    A page of another site could send anything else to this server from a visitor's browser unasked.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise bad_request(
            f"the request needs the header 'Content-Type: application/json'; received: {kind or 'none'}"
        )
