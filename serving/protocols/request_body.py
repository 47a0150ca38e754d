"""Reads the bodies of requests, and sends those of responses, within the memory limits."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.errors import Refused, bad_request
from serving.memory import Releaser
from serving.metrics import BODIES
from serving.protocols.client_address import client_of_scope
from serving.protocols.json_values import BYTES_OF_A_VALUE, count_values, has_rare

T = TypeVar("T")
LARGE = 1 << 20  # bytes of a request after which memory is given back
_UNSAID = ("", "application/x-www-form-urlencoded")  # content types that say nothing of the body
BROWSERS = frozenset({"origin", "referer", "cookie"})  # headers, beside those whose names begin with Sec-
PART = 1 << 18  # bytes of a response that are sent at once
PARSERS = 2  # threads that parse bodies; the event loop never does


DIGITS = "[0-9]{1,18}"  # of a version or a length


def whole_number(text: str) -> int | None:
    """The value of at most 18 decimal digits; None for any other text.

    Python takes "²" for a digit, and raises another error where there are thousands of digits.
    """
    return int(text) if re.fullmatch(DIGITS, text) else None


class BodyReader:
    """Reads and parses bodies, and counts the bytes in memory."""

    def __init__(self, max_body: int, max_bodies: int, releaser: Releaser) -> None:
        """Creates a reader.

        Args:
            max_body: limit in bytes for one request.
            max_bodies: limit in bytes for all requests in progress of one client, and for all responses that
                it does not read. All clients together may have one largest request more: nobody takes it all.
            releaser: gives memory back after large requests.
        """
        self._max_body, self._max_bodies = max_body, max_bodies
        self._held: collections.Counter[tuple[str, str]] = collections.Counter()  # by what, and whose it is
        self._releaser = releaser
        self._parsers = ThreadPoolExecutor(PARSERS, "parser")

    @contextlib.asynccontextmanager
    async def read(
        self, request: Request, parse: Callable[[bytearray], T], json_length: int | None = None
    ) -> AsyncIterator[T]:
        """Yields the parsed body of a request, which counts as memory in use until the context ends.

        Args:
            request: the request, whose body was not read yet.
            parse: function that parses the body, in a thread.
            json_length: number of bytes of the body that are JSON; None: all.

        Raises:
            Refused: the body is empty, too large or refused by `parse`, or all together are too large.
            ClientDisconnect: the client has disconnected.
        """
        if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
            raise Refused(415, f"bodies are read as they are, not as Content-Encoding {coding[:40]!r}")
        declared = request.headers.get("content-length", "")
        if (whole_number(declared) or 0) > self._max_body:
            raise self._too_large()
        body, client, size = bytearray(), client_of_scope(request.scope), 0
        with contextlib.ExitStack() as held:
            # One for all parts: those of a byte would take a kilobyte each, which nothing counts.
            held.callback(lambda: self._give_back(size, client, "request"))
            async for chunk in request.stream():
                if len(body) + len(chunk) > self._max_body:
                    raise self._too_large()
                self._take(len(chunk), client, "request")
                size += len(chunk)
                body += chunk
            if not body:
                raise bad_request("the body is empty")
            text = memoryview(body)[:json_length]
            values = await self.parse(count_values, text)
            # Python takes four bytes for each character of a text that holds one of the rarer ones.
            wide = 3 * len(text) if await self.parse(has_rare, text) else 0
            held.enter_context(self.hold(values * BYTES_OF_A_VALUE + wide, client))
            parsed = await self.parse(parse, body)
            del body, text  # the images in it were copied
            yield parsed

    async def parse(self, function: Callable[..., T], *arguments: object) -> T:
        """Calls a function in one of the few threads that parse."""
        return await asyncio.get_running_loop().run_in_executor(self._parsers, function, *arguments)

    @contextlib.contextmanager
    def hold(self, count: int, client: str, what: str = "request") -> Iterator[None]:
        """Counts bytes of a client as in use until the context ends; refuses what is too many."""
        self._take(count, client, what)
        try:
            yield
        finally:
            self._give_back(count, client, what)

    def _take(self, count: int, client: str, what: str) -> None:
        if count > self._max_bodies:
            raise Refused(413, f"the {what} would take {count} bytes; at most {self._max_bodies} are there")
        everyone = sum(held for (kind, _), held in self._held.items() if kind == what)
        most = self._max_bodies
        if self._held[what, client] + count > most or everyone + count > most + self._max_body:
            raise Refused(503, f"overloaded: too many large {what}s at once", retry_after=1)
        self._held[what, client] += count
        BODIES.set(sum(self._held.values()))

    def _give_back(self, count: int, client: str, what: str) -> None:
        self._held[what, client] -= count
        if not self._held[what, client]:
            del self._held[what, client]
        BODIES.set(sum(self._held.values()))
        if count >= LARGE:
            self._releaser.soon()

    def hold_response(self, size: int, client: str) -> contextlib.AbstractContextManager[None]:
        """Counts the bytes of a response until the context ends, apart from those of requests.

        Whoever reads slowly stops large responses at most: what is sent in one part is not counted.
        """
        return self.hold(size if size > PART else 0, client, "response")

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is too large: at most {self._max_body} bytes are accepted")


class HeldResponse(Response):
    """A response whose body counts as memory in use until the client has read it, but for the last part.

    Clients that ask much and read nothing would fill the memory otherwise.
    """

    def __init__(self, content: bytes, headers: Mapping[str, str], bodies: BodyReader) -> None:
        """Creates the response.

        Args:
            content: the body.
            headers: the headers, besides the length.
            bodies: counts the bytes in memory; refuses the response where there are too many.
        """
        super().__init__(content, headers=dict(headers))
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; the connection takes a part only once the client has read those before."""
        size = len(self.body)
        with self._bodies.hold_response(size, client_of_scope(scope)):
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            for start in range(0, size, PART):
                part = bytes(self.body[start : start + PART])
                await send({"type": "http.response.body", "body": part, "more_body": start + PART < size})


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
    """Refuses a request without the content type of JSON that does not come from a program.

    Pages of other sites could send any other content type from a visitor's browser without permission; but
    browsers say whose page a request is of. Programs leave the content type out, or say what `curl -d` says.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _UNSAID and not any(name in BROWSERS or name.startswith("sec-") for name in request.headers):
        return
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise bad_request(
            f"the request needs the header 'Content-Type: application/json'; received: {kind or 'none'}"
        )
