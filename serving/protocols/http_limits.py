"""HTTP/1.1 by uvicorn with limits: of connections and headers; clients must send and read in time."""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.metrics import REQUESTS

MAX_HEADER_BYTES = 64 * 1024
PART = (
    8 * 1024
)  # bytes that are parsed at once: each 18 of them may be a request, of some kilobytes in memory
REFUSED = "serving.refused"  # in the scope of a request: it was answered, and counted, before its handler did
SECONDS_TO_CONFIRM = 1  # that a client of TLS has to confirm the end of its connection while the server stops
PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def protocol_class(receive_seconds: float, max_connections: int) -> type[HttpToolsProtocol]:
    """Returns a protocol for uvicorn that disconnects clients that send or read for too long, or too many.

    Args:
        receive_seconds: time that a client has to send a request, and to read its answer.
        max_connections: number of connections at once; one more gets a 503 and is closed.
    """

    class LimitedProtocol(HttpToolsProtocol):
        """One connection of a client."""

        _timer: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None
        _answered = True  # the response that the client did not read at once was written to its end
        _unparsed = 0  # bytes of headers that have not ended
        _fields = 0  # bytes of those that have
        _in_headers = True
        _rest = b""  # not parsed yet, as earlier requests of this connection wait for their answers
        _closing: asyncio.TimerHandle | None = None
        _stopping = False  # the server stops

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            # Whatever the client leaves unread starts the timer: closing would wait for it without end.
            transport.set_write_buffer_limits(high=0)
            if len(self.connections) > max_connections:
                self._refuse(503, f"overloaded: {max_connections} connections are open", retry_after=5)
                return
            self._start_timer()  # for clients that connect and send nothing

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            for timer in (self._unread, self._closing):
                if timer:
                    timer.cancel()
            self._rest = b""
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """Starts the timer: the response overflows the buffers since the client does not read it."""
            self._answered = False
            if self._unread is None:
                self._unread = self.loop.call_later(receive_seconds, self.transport.abort)
            super().pause_writing()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_unread()

        def _stop_unread(self) -> None:
            """Stops the timer once a whole response is read: none may be read in drops without end."""
            if self._unread and self._answered and not self.flow.write_paused:
                self._unread.cancel()
                self._unread = None

        def data_received(self, data: bytes) -> None:
            """Parses what came, as long as no request waits behind another one."""
            data, self._rest = self._rest + data, b""
            for start in range(0, len(data), PART):
                if self.pipeline:
                    self._rest = data[start:]
                    self.flow.pause_reading()
                    return
                if self.transport.is_closing():
                    return
                self._parse(data[start : start + PART])

        def _parse(self, data: bytes) -> None:
            if self._in_headers:
                # Part of the body can arrive with the headers: count only what remains after parsing.
                if self._unparsed > MAX_HEADER_BYTES:
                    self._refuse_headers()
                    return
                self._unparsed += len(data)
            super().data_received(data)

        def on_response_complete(self) -> None:
            self._answered = True
            self._stop_unread()
            super().on_response_complete()
            if self.transport.is_closing():
                self._close()
            elif self.pipeline:
                self.flow.pause_reading()  # uvicorn would read on, and never catch up
            elif self._rest:
                self.loop.call_soon(self.data_received, b"")

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._close()

        def _close(self) -> None:
            """Closes the connection, also where the client neither reads nor ends its side (of TLS)."""
            self.transport.close()
            if self._stopping:
                self._end_soon()
            elif self._closing is None:
                self._closing = self.loop.call_later(receive_seconds, self.transport.abort)

        def shutdown(self) -> None:
            """Closes the connection once nothing is in progress; the stop waits for no idle client."""
            self._stopping = True
            super().shutdown()
            if self.transport.is_closing():
                self._end_soon()

        def _end_soon(self) -> None:
            """Ends a closed connection whose client of TLS does not confirm it, as idle ones read nothing."""
            if self._closing:
                self._closing.cancel()
            self._closing = self.loop.call_later(SECONDS_TO_CONFIRM, self._end)

        def _end(self) -> None:
            if self.flow.write_paused:
                self._end_soon()  # it still reads its answer, for which it has a time limit
            else:
                self.transport.abort()

        def on_message_begin(self) -> None:
            self._start_timer()
            self._fields = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(len(name) + len(value) + 4)  # with colon, space and line break
            super().on_header(name, value)

        def _count(self, size: int) -> None:
            self._fields += size
            if self._fields > MAX_HEADER_BYTES:
                raise ValueError("headers too large")  # ends the parser, which calls `send_400_response`

        def on_headers_complete(self) -> None:
            self._in_headers, self._unparsed = False, 0
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_headers = True
            self._stop_timer()
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            if self._fields > MAX_HEADER_BYTES:
                self._refuse_headers()
            else:
                self._refuse(400, "this is not HTTP/1.1")

        def _refuse_headers(self) -> None:
            self._refuse(431, f"the headers are larger than {MAX_HEADER_BYTES} bytes")

        def _start_timer(self) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(receive_seconds, self._late)

        def _stop_timer(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            if self.pipeline:
                self._start_timer()  # nothing is read until the earlier requests are answered
            elif self.cycle is not None and self.cycle.response_started:
                self._close()  # the request has been refused, but the client keeps sending
            else:
                self._refuse(408, f"the request did not arrive within {receive_seconds:g} s")

        def _refuse(self, status: int, message: str, retry_after: int | None = None) -> None:
            self._stop_timer()
            if self.transport.is_closing():
                return
            REQUESTS.labels("rest", str(status)).inc()
            body = json.dumps({"error": message})
            retry = "" if retry_after is None else f"retry-after: {retry_after}\r\n"
            self.transport.write(
                f"HTTP/1.1 {status} {PHRASES[status]}\r\ncontent-type: application/json\r\n{retry}"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
            if self.cycle is not None and not self.cycle.response_complete:
                if self.cycle.more_body:  # else it is not this request that is refused, but one behind it
                    self.cycle.scope[REFUSED] = True
                self.cycle.disconnected = True  # readers of the body stop waiting
                self.cycle.message_event.set()
            self._close()

    return LimitedProtocol
