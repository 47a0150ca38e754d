"""Size, time and number: what is too much is refused or cut off, and everybody else is answered."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.conftest import DEPTH, ROOMY
from tests.serving.limits import GOOD, MEBIBYTE, SLOW, everything, gauge, head, raw
from tests.serving.running import PYTHON, Server, running, wait_for
from unet.tiling import Geometry

pytestmark = pytest.mark.server

MAX_HEADER_BYTES = 64 * 1024


@pytest.fixture
def roomy(exported: dict[int, Path], tmp_path: Path) -> Iterator[Server]:
    """A server whose model gives large answers to small requests: its `network` takes large patches."""
    shutil.copytree(exported[ROOMY], tmp_path / "unet/1")
    command = [str(PYTHON), "-m", "serving"]
    flags = ("--receive-seconds", "2", "--request-seconds", "30", "--signatures", "network")
    with running(command, tmp_path / "unet", tmp_path / "log", *flags) as started:
        yield started


@pytest.mark.parametrize(("size", "status"), [(MAX_HEADER_BYTES - 100, 200), (MAX_HEADER_BYTES + 100, 431)])
def test_headers_that_come_at_once(server: Server, size: int, status: int):
    filler = b"X-Filler: " + b"x" * (size // 4) + b"\r\n"
    sent = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    lines = (size - len(sent) - 4) // len(filler)
    rest = size - len(sent) - lines * len(filler)
    sent += lines * filler + b"Y: " + b"y" * rest + b"\r\n\r\n"
    assert everything(raw(server, sent)).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/mod", head(None)[:-2], head(1000), head(1000) + b"{", head(None) + b"1\r\n{\r\n"]
)
def test_a_client_that_sends_slowly_is_cut_off(strict: Server, sent: bytes):
    assert everything(raw(strict, sent)).startswith(b"HTTP/1.1 408 ")  # it ends, or this would never return
    wait_for(lambda: gauge(strict, "serving_request_body_bytes") == 0)  # its handler ends after the answer
    assert strict.mask(GOOD)


@pytest.mark.parametrize(
    ("sent", "status"), [(head(1000) + b"{", "408"), (head(None) + b"1\r\n{\r\nmany\r\n", "400")]
)
def test_a_request_that_is_refused_within_its_body_is_counted_once(strict: Server, sent: bytes, status: str):
    def counts() -> dict[str, float]:
        found = re.findall(
            r'^serving_requests_total\{protocol="rest",status="(\d+)"\} (\S+)', strict.get("/metrics"), re.M
        )
        return {each: float(count) for each, count in found if each != "200"}  # that of this call

    before = counts()
    assert everything(raw(strict, sent)).startswith(b"HTTP/1.1 " + status.encode())
    wait_for(lambda: counts() != before)
    time.sleep(0.5)  # for the handler, which is told that the client has gone, and must not count it again
    assert counts() == {**before, status: before.get(status, 0) + 1}


def test_a_client_that_goes_on_sending_after_it_was_refused_is_cut_off(strict: Server):
    def send_without_end() -> None:
        with raw(strict, head(10**12)) as connection:
            while True:
                connection.sendall(bytes(MEBIBYTE))

    with pytest.raises(OSError, match=r"reset|pipe"):
        send_without_end()


def in_drops(connection: socket.socket) -> bytes:
    """What comes within twice the time to read a response: some of each of the server's parts, in time."""
    parts = [connection.recv(20_000)]  # which waits for the answer's begin, however busy the machine is
    end = time.monotonic() + 4
    while time.monotonic() < end:
        parts.append(connection.recv(20_000))
        time.sleep(0.1)
    return b"".join(parts)


@pytest.mark.parametrize("drops", [False, True])
def test_a_client_that_does_not_read_its_answer_is_cut_off(roomy: Server, drops: bool):
    side = Geometry(DEPTH).smallest + 112 * Geometry(DEPTH).step
    patch = [[[0]] * side] * side
    body = json.dumps({"signature_name": "network", "instances": [patch]}, separators=(",", ":")).encode()
    before = gauge(roomy, "process_open_fds")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", roomy.port))
    connection.sendall(head(len(body)) + body + b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if drops:
        answer = in_drops(connection)
    else:
        wait_for(lambda: gauge(roomy, "process_open_fds") > before, roomy)
        wait_for(lambda: gauge(roomy, "process_open_fds") == before, roomy)
        answer = b""
    answer += everything(connection)  # what lay in buffers
    length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert length > 5 * MEBIBYTE  # fits into no buffer
    assert len(answer) < length


def test_an_answer_that_nearly_fits_into_buffers_keeps_no_connection(strict: Server):
    """The rest of it is too little to stop the server from writing, and is never sent."""
    before = gauge(strict, "process_open_fds")
    ask = b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n"
    connections = []
    for count in range(6, 480, 8):  # of answers of 7 KB: steps of less than the mark at which asyncio stops
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", strict.port))
        connection.sendall((ask + b"\r\n") * count + ask + b"Connection: close\r\n\r\n")
        connections.append(connection)
    wait_for(lambda: gauge(strict, "process_open_fds") == before, strict)
    for connection in connections:
        connection.close()


def test_requests_one_behind_the_other_wait_as_bytes(strict: Server):
    """Each takes kilobytes once it is parsed, and reading on after each answer would never end."""

    def most_memory() -> int:
        status = Path(f"/proc/{strict.process.pid}/status").read_text()
        return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.M)[0]) * 1024

    def send(connection: socket.socket) -> None:
        body = SLOW.encode()
        connection.sendall(head(len(body)) + body + b"GET /x HTTP/1.1\r\n\r\n" * 20_000)

    before = most_memory()
    connections = [raw(strict, b"") for _ in range(40)]
    threads = [threading.Thread(target=send, args=[connection]) for connection in connections]
    for thread in threads:
        thread.start()
    answers = [connection.recv(12) for connection in connections]  # each is answered
    assert {*answers} <= {b"HTTP/1.1 503", b"HTTP/1.1 504"}
    for connection, thread in zip(connections, threads, strict=True):
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        thread.join()
    assert most_memory() - before < 256 * MEBIBYTE
    assert strict.mask(GOOD)
