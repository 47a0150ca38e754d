"""Connections of HTTP that are many, slow, endless, or speak something else."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator

from tests.serving.hostile.attack import Attack, Reply, endless, posted, replies_in, written
from tests.serving.limits import MEBIBYTE, everything, head, raw
from tests.serving.running import JSON, Server

LINE = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
NO_HTTP = "this is not HTTP/1.1"
LATE = "the request did not arrive within"
HEADERS = "the headers are larger than 65536 bytes"
NOTHING = "there is nothing at"
TOO_LARGE = "the body is too large: at most"
IDLE = 600
OPEN = "overloaded: 512 connections are open"


def idle(server: Server) -> list[Reply]:
    """Opens connections on which nothing is sent; the answers of those that are one too many."""
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(raw(server, b"")) for _ in range(IDLE)]
        answers = []
        for connection in connections[512:]:
            with contextlib.suppress(OSError):
                answers.append(everything(connection))
        return [reply for answer in answers for reply in replies_in(answer)]


def drops(start: bytes, drop: bytes) -> Iterator[bytes]:
    """A start, and then something every tenth of a second, for as long as it is taken."""
    yield start
    for _ in range(1200):
        time.sleep(0.1)
        yield drop


def many_slow(server: Server) -> list[Reply]:
    """All ways to be slow, at once: each connection gets its answer, or is closed."""
    starts = [
        b"",
        b"POST /v1/mod",
        head(None)[:-2],
        head(1000),
        head(1000) + b"{",
        head(None) + b"1\r\n{\r\n",
    ]
    connections = [raw(server, start) for start in starts * 20]
    return [reply for connection in connections for reply in replies_in(everything(connection))]


def chunks() -> Iterator[bytes]:
    """A body in chunks that does not end."""
    yield head(None)
    for _ in range(1000):
        yield b"%x\r\n" % MEBIBYTE + bytes(MEBIBYTE) + b"\r\n"


def headers(name: bytes) -> Iterator[bytes]:
    """Headers that do not end."""
    yield b"GET / HTTP/1.1\r\n"
    yield from itertools.repeat(name + b": " + b"x" * 10_000 + b"\r\n", 1000)


def asked(lines: bytes, body: bytes = b"") -> bytes:
    """A request whose connection ends after it."""
    return lines + b"Connection: close\r\n\r\n" + body


POST = head(None).split(b"Transfer")[0]
# name: bytes, status, sentence
BYTES: dict[str, tuple[bytes, str, str]] = {
    "start of TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), "400", NO_HTTP),
    "start of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", NO_HTTP),
    "zero bytes": (bytes(1000), "400", NO_HTTP),
    "20,000 headers": (asked(LINE + b"X: y\r\n" * 20_000), "431", HEADERS),
    "address of 100,000 letters": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", "431", HEADERS),
    "address that is no UTF-8": (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", "400", NO_HTTP),
    "address whose escapes are no UTF-8": (asked(LINE.replace(b"nothing", b"%ff%fe")), "404", NOTHING),
    "address that leads out of the folder": (
        asked(LINE.replace(b"nothing", b"%2e%2e/%2e%2e/etc/passwd")), "404", NOTHING,
    ),
    "name of another machine in the Host header": (
        asked(LINE.replace(b"localhost", b"evil.example")), "421", "this server is not 'evil.example'",
    ),
    "length of the body that is too short": (
        POST + b"Content-Length: 2\r\n\r\n{} and something behind it", "400", "",
    ),
    "length of the body below zero": (POST + b"Content-Length: -1\r\n\r\n", "400", NO_HTTP),
    "length of the body of 5,000 digits": (
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "400", NO_HTTP,
    ),
    "two lengths of the body": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400", NO_HTTP),
    "length of the body and chunks": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", NO_HTTP,
    ),
    "chunk that claims 2^64 bytes": (head(None) + b"f" * 17 + b"\r\n", "400", NO_HTTP),
    "chunk whose length is a word": (head(None) + b"many\r\n", "400", NO_HTTP),
    "header that holds a zero byte": (LINE + b"X: \0\r\n\r\n", "400", NO_HTTP),
    "header without a name": (LINE + b": x\r\n\r\n", "400", NO_HTTP),
    "HTTP/1.0 without anything": (
        b"POST /v1/models/unet:predict HTTP/1.0\r\n\r\n", "400", "the body is empty",
    ),
    "HTTP/9.9": (b"GET /nothing HTTP/9.9\r\n\r\n", "400", NO_HTTP),
    "method that there is not": (b"BREW /nothing HTTP/1.1\r\n\r\n", "400", NO_HTTP),
    "offer of a web socket": (
        asked(LINE + b"Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"),
        "404", NOTHING,
    ),
    "500 requests, one behind the other": (
        (LINE + b"\r\n") * 499 + asked(LINE), "404", NOTHING,
    ),
}  # fmt: skip
VERSION = "/v1/models/unet/versions/{}:predict"

ATTACKS = [
    Attack(f"{IDLE} connections on which nothing is sent", idle, "503", OPEN),
    Attack("120 clients that send a part, or nothing, and wait", many_slow, "408", LATE),
    Attack("header that comes in drops", endless(drops(LINE, b"X: y\r\n")), "408", LATE),
    Attack("body that comes in drops", endless(drops(head(10**6), b" ")), "408", LATE),
    Attack("headers without end", endless(headers(b"X-Filler")), "431", HEADERS, "closed"),
    Attack(
        "header that is one line of 1 MiB",
        endless([LINE + b"X: ", *[b"x" * 1024] * 1024]),
        "431",
        HEADERS,
        "closed",
    ),
    Attack("chunks without end", endless(chunks()), "413", TOO_LARGE, "closed"),
    *(Attack(name, written(data), status, said) for name, (data, status, said) in BYTES.items()),
    *(
        Attack(f"version {name}", posted("{}", VERSION.format(version)), "404", NOTHING)
        for name, version in {
            "of 5,000 digits": "9" * 5000,
            "in other digits (²)": "%C2%B2",
            "x": "x",
        }.items()
    ),
    Attack(
        "length of the body of a terabyte",
        posted(b"", headers={**JSON, "Content-Length": str(10**12)}),
        "413",
        TOO_LARGE,
    ),
    Attack("version beyond 64 bits", posted("{}", VERSION.format("9" * 18)), "400", "either"),
    Attack(
        "versions of 5,000 digits, by the other protocol",
        posted("{}", f"/v2/models/unet/versions/{'9' * 5000}/infer"),
        "404",
        NOTHING,
    ),
    Attack(
        "loading and unloading of models", posted("{}", "/v2/repository/models/unet/unload"), "404", NOTHING
    ),
    Attack(
        "deletion of the model", posted("", "/v1/models/unet", JSON, method="DELETE"), "405", "DELETE is not"
    ),
]
