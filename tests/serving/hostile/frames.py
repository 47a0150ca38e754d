"""Frames of HTTP/2 that no client library would send, and the call of somebody else beside them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator

from tests.serving.hostile.attack import Attack, Reply
from tests.serving.hostile.messages import BUSY, INFER, NONE, called
from tests.serving.running import PATIENCE, Server

LIVE = "/inference.GRPCInferenceService/ServerLive"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING = 0, 1, 3, 4, 6
ENDS, ACKNOWLEDGED, HEADERS_END = 1, 1, 4
WINDOW = 4  # the setting of how much may be sent before something was read
FRAME = 1 << 14  # bytes of the content of a frame


def frame(kind: int, content: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    """A frame of HTTP/2."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def literal(text: bytes) -> bytes:
    """A text of HPACK."""
    rest, size = len(text) - 127, bytes([min(len(text), 127)])
    while rest >= 0:
        size += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
        rest = (rest >> 7) or -1
    return size + text


def fields(method: str) -> bytes:
    """The header of a call of gRPC."""
    named = {
        ":method": "POST", ":scheme": "http", ":path": method, ":authority": "localhost",
        "te": "trailers", "content-type": "application/grpc",
    }  # fmt: skip
    return b"".join(b"\0" + literal(name.encode()) + literal(text.encode()) for name, text in named.items())


def opened(server: Server, *settings: tuple[int, int]) -> socket.socket:
    """A connection of HTTP/2."""
    connection = socket.create_connection(("127.0.0.1", server.grpc_port), PATIENCE)
    content = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings)
    connection.sendall(PREFACE + frame(SETTINGS, content) + frame(SETTINGS, flags=ACKNOWLEDGED))
    return connection


def unread(server: Server, calls: int, method: str = LIVE, message: bytes = b"") -> socket.socket:
    """A connection of so many calls none of whose answers may be sent."""
    connection = opened(server, (WINDOW, 0))
    data = b"\0" + len(message).to_bytes(4, "big") + message
    for stream in range(1, 2 * calls, 2):
        connection.sendall(frame(HEADERS, fields(method), stream, HEADERS_END))
        for start in range(0, len(data), FRAME):
            ends = ENDS if start + FRAME >= len(data) else 0
            connection.sendall(frame(DATA, data[start : start + FRAME], stream, ends))
    return connection


def taken_back() -> Iterator[bytes]:
    """Calls that are begun, and taken back at once."""
    header = fields(INFER)
    for stream in range(1, 200_000, 2):
        yield frame(HEADERS, header, stream, HEADERS_END) + frame(RESET, bytes(4), stream)


def bombs() -> Iterator[bytes]:
    """Calls whose header of some kilobytes becomes 40 MiB: one field of 4,000 letters, 10,000 times."""
    first = b"\x40" + literal(b"x-filler") + literal(b"y" * 4000)
    yield frame(HEADERS, fields(INFER) + first, 1, HEADERS_END)
    for stream in range(3, 6000, 2):
        yield frame(HEADERS, fields(INFER) + b"\xbe" * 10_000, stream, HEADERS_END)


def beside(parts: Callable[[], Iterable[bytes]]) -> Callable[[Server], list[Reply]]:
    """Sends all parts, and reads what comes; the replies are those to calls of another client meanwhile."""

    def send(server: Server) -> list[Reply]:
        call, replies = called(b""), []
        with opened(server) as connection:
            reader = threading.Thread(target=_read, args=[connection])
            writer = threading.Thread(target=_write, args=[connection, parts()])
            reader.start()
            writer.start()
            while writer.is_alive():
                replies += call(server)
            with contextlib.suppress(OSError):  # the server may have ended it
                connection.shutdown(socket.SHUT_RDWR)
            reader.join()
        while replies[-1:] == [] or replies[-1].status == BUSY:
            replies += call(server)
        return replies

    return send


def _read(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(2**20):
            pass


def _write(connection: socket.socket, parts: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):
        for part in parts:
            connection.sendall(part)


def pings() -> Iterator[bytes]:
    """Frames that are to be answered."""
    for _ in range(200):
        yield frame(PING, bytes(8)) * 1000


ATTACKS = [
    Attack(
        "100,000 calls that are begun and taken back", beside(taken_back), NONE, "there is no model ''", BUSY
    ),
    Attack(
        "3,000 headers of 10 KB that become 40 MB each", beside(bombs), NONE, "there is no model ''", BUSY
    ),
    Attack("200,000 pings", beside(pings), NONE, "there is no model ''", BUSY),
]
