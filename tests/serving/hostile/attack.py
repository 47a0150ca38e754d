"""What an attack is: something that is sent to a server, and what is answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.serving.limits import PREDICT, everything, raw
from tests.serving.running import JSON, Server, b64

CUT_OFF = "closed"  # in place of a status: the connection was closed, as nothing can be answered on it


@dataclass(frozen=True)
class Reply:
    """One answer: its status, its sentence, and whether it says when to try again."""

    status: str
    sentence: str
    retry: bool = False


@dataclass(frozen=True)
class Attack:
    """Something hostile.

    Args:
        name: what is sent, in words.
        send: sends it to a server, and returns all answers.
        status: the status of the answers, by number in HTTP, by name in gRPC.
        says: what each sentence says.
        may_be: a further status that is right for some of many answers.
    """

    name: str
    send: Callable[[Server], list[Reply]]
    status: str
    says: str
    may_be: str = ""


def reply_of(status: int, headers: dict[str, str], body: bytes) -> Reply:
    """The reply that an answer of HTTP is; anything but JSON with one error is a failure."""
    try:
        (sentence,) = [json.loads(body)["error"]]
    except (ValueError, KeyError, TypeError):
        raise AssertionError(f"{status} with {body[:200]!r}") from None
    return Reply(str(status), sentence, "retry-after" in headers)


def posted(
    body: Any, path: str = PREDICT, headers: dict[str, str] = JSON, times: int = 1, method: str = "POST"
) -> Callable[[Server], list[Reply]]:
    """Sends a body, which a function may make when it is needed, so many times at once."""

    def send(server: Server) -> list[Reply]:
        content = body() if callable(body) else body
        with ThreadPoolExecutor(times) as pool:
            sent = [pool.submit(server.request, method, path, content, headers) for _ in range(times)]
        return [reply_of(*future.result()) for future in sent]

    return send


def images(*files: bytes, times: int = 1) -> Callable[[Server], list[Reply]]:
    """Sends images in one request."""
    return posted(lambda: json.dumps({"instances": [b64(file) for file in files]}), times=times)


def replies_in(answers: bytes) -> Iterator[Reply]:
    """The replies of HTTP that came one after the other on a connection."""
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        yield reply_of(int(first.split()[1]), headers, rest[:length])
        answers = rest[length:]


def written(*parts: bytes) -> Callable[[Server], list[Reply]]:
    """Sends bytes on a connection of HTTP's port, until the server ends it."""
    return endless(parts)


def endless(parts: Iterable[bytes]) -> Callable[[Server], list[Reply]]:
    """Sends parts on a connection, which may be closed meanwhile: what was answered may be lost then."""

    def send(server: Server) -> list[Reply]:
        connection = raw(server, b"")
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
        answered = b""
        with contextlib.suppress(OSError):
            answered = everything(connection)
        return [*replies_in(answered)] or [Reply(CUT_OFF, "")]

    return send
