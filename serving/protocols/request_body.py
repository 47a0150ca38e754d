"""Reads the bodies of requests within the memory limits."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from serving.errors import Refused, bad_request
from serving.metrics import BODIES

T = TypeVar("T")


DIGITS = "[0-9]{1,18}"  # of a version or a length


def whole_number(text: str) -> int | None:
    """The value of at most 18 decimal digits; None for any other text.

    Python takes "²" for a digit, and raises another error where there are thousands of digits.
    """
    return int(text) if re.fullmatch(DIGITS, text) else None


class BodyReader:
    """Reads bodies and counts the bytes in memory."""

    def __init__(self, max_body: int, max_bodies: int) -> None:
        """Creates a reader.

        Args:
            max_body: limit in bytes for one request.
            max_bodies: limit in bytes for all requests in progress.
        """
        self._max_body, self._max_bodies, self._held = max_body, max_bodies, 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yields the body of a request, which counts as memory in use until the context ends.

        Raises:
            Refused: the body is empty or too large, or all bodies together are too large.
            ClientDisconnect: the client has disconnected.
        """
        declared = request.headers.get("content-length", "")
        if (whole_number(declared) or 0) > self._max_body:
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
        """Counts bytes as in use until the context ends; refuses the request if the total is too large."""
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
    """Returns the result of `answer`; cancels it if the client, whose request is complete, disconnects.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    task = asyncio.ensure_future(answer)
    # After the body, the only possible message of the protocol is that the client has disconnected.
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
    """Refuses a request without the content type of JSON.

    Pages of other sites could send any other content type from a visitor's browser without permission.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise bad_request(
            f"the request needs the header 'Content-Type: application/json'; received: {kind or 'none'}"
        )
