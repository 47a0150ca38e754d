"""Size, time and number: what is too much is refused or cut off, and everybody else is answered."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.serving.conftest import DEPTH, ROOMY, encoded, noise
from tests.serving.running import JSON, PYTHON, Server, b64, running, wait_for
from unet.tiling import Geometry

pytestmark = pytest.mark.server

GOOD = encoded(noise(40, 60))
PREDICT = "/v1/models/unet:predict"
MEBIBYTE = 2**20
# Many small tiles: some kilobytes that keep the server busy until they are cancelled.
SLOW = json.dumps({"instances": [b64(encoded(np.zeros((6000, 6000), np.uint8)))]})


@pytest.fixture(scope="module")
def strict(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with limits that a test can reach."""
    folder = tmp_path_factory.mktemp("strict")
    shutil.copytree(exported[1], folder / "unet/1")
    flags = ("--concurrent", "1", "--queue", "1", "--request-seconds", "3", "--receive-seconds", "2")
    command = [str(PYTHON), "-m", "serving"]
    with running(command, folder / "unet", folder / "log", *flags, "--max-body-mib", "1") as started:
        yield started
        assert "Traceback" not in started.log()


@pytest.fixture
def roomy(exported: dict[int, Path], tmp_path: Path) -> Iterator[Server]:
    """A server whose model gives large answers to small requests: its `network` takes large patches."""
    shutil.copytree(exported[ROOMY], tmp_path / "unet/1")
    command = [str(PYTHON), "-m", "serving"]
    flags = ("--receive-seconds", "2", "--request-seconds", "30")
    with running(command, tmp_path / "unet", tmp_path / "log", *flags) as started:
        yield started


def gauge(server: Server, name: str) -> float:
    (line,) = (line for line in server.get("/metrics").splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def raw(server: Server, data: bytes) -> socket.socket:
    """A connection on which something was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    connection.sendall(data)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    with connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(length: int | None, path: str = PREDICT) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{size}\r\n\r\n".encode()


# ---- Size ----


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_of_200_mb_is_refused_and_never_held(server: Server, in_chunks: bool):
    server.mask(GOOD)
    before, peak = server.memory(), [0]
    with ThreadPoolExecutor(1) as pool:
        blocks = (bytes(MEBIBYTE) for _ in range(200))
        headers = JSON if in_chunks else {**JSON, "Content-Length": str(200 * MEBIBYTE)}
        sent = pool.submit(server.request, "POST", PREDICT, blocks, headers)
        while not sent.done():
            peak.append(server.memory())
    status, _, answer = sent.result()
    assert status == 413
    assert json.loads(answer) == {
        "error": f"the body is too large: at most {64 * MEBIBYTE} bytes are accepted"
    }
    # 64 MiB may be there of a body of unknown length, and once more while they are joined.
    assert max(peak) - before < (150 if in_chunks else 40) * MEBIBYTE
    assert server.mask(GOOD)


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(server: Server):
    with raw(server, head(10**12)) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_the_limit_is_exact(strict: Server):
    good = json.dumps({"instances": [b64(GOOD)]})
    fits = good + " " * (MEBIBYTE - len(good))
    assert strict.request("POST", PREDICT, fits)[0] == 200
    assert strict.request("POST", PREDICT, fits + " ")[0] == 413


def test_headers_without_end(server: Server):
    connection = raw(server, b"GET / HTTP/1.1\r\n")
    with contextlib.suppress(OSError):  # cut off while it still sends
        for _ in range(100):
            connection.sendall(b"X-Filler: " + b"x" * 10_000 + b"\r\n")
    with contextlib.suppress(OSError):
        assert everything(connection).startswith(b"HTTP/1.1 431 ")
    assert server.get("/health/live") == {"live": True}


def test_what_is_no_http(server: Server):
    answer = everything(raw(server, b"\x16\x03\x01 this is TLS, say\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in answer


# ---- Time ----


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/mod", head(None)[:-2], head(1000), head(1000) + b"{", head(None) + b"1\r\n{\r\n"]
)
def test_a_client_that_sends_slowly_is_cut_off(strict: Server, sent: bytes):
    assert everything(raw(strict, sent)).startswith(b"HTTP/1.1 408 ")  # it ends, or this would never return
    assert gauge(strict, "serving_request_body_bytes") == 0
    assert strict.mask(GOOD)


def test_a_client_that_goes_on_sending_after_it_was_refused_is_cut_off(strict: Server):
    def send_without_end() -> None:
        with raw(strict, head(10**12)) as connection:
            while True:
                connection.sendall(bytes(MEBIBYTE))

    with pytest.raises(OSError, match=r"reset|pipe"):
        send_without_end()


def test_a_client_that_does_not_read_its_answer_is_cut_off(roomy: Server):
    side = Geometry(DEPTH).smallest + 112 * Geometry(DEPTH).step
    patch = [[[0]] * side] * side
    body = json.dumps({"signature_name": "network", "instances": [patch]}, separators=(",", ":")).encode()
    before = gauge(roomy, "process_open_fds")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", roomy.port))
    connection.sendall(head(len(body)) + body)
    wait_for(lambda: gauge(roomy, "process_open_fds") > before, roomy)
    wait_for(lambda: gauge(roomy, "process_open_fds") == before, roomy)
    answer = everything(connection)  # what lay in buffers
    length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert length > 5 * MEBIBYTE  # fits into no buffer
    assert len(answer) < length


def test_a_prediction_that_takes_too_long_is_cancelled(strict: Server):
    status, _, answer = strict.request("POST", PREDICT, SLOW)
    assert (status, json.loads(answer)) == (504, {"error": "cancelled: the prediction took longer than 3 s"})
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0, strict)
    assert strict.mask(GOOD)


# ---- Number ----


def test_only_when_the_queue_is_full_a_request_is_refused(strict: Server):
    with ThreadPoolExecutor(2) as pool:
        both = []
        for name in ("running", "waiting"):
            both.append(pool.submit(strict.request, "POST", PREDICT, SLOW))
            wait_for(lambda n=name: gauge(strict, f"serving_predictions_{n}") == 1, strict)
        status, headers, answer = strict.request("POST", PREDICT, json.dumps({"instances": [b64(GOOD)]}))
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(answer) == {"error": "overloaded: 1 predictions wait already"}
        # What needs no prediction is answered all the same, and what is wrong is told so at once.
        assert strict.get("/health/ready") == {"ready": True}
        assert strict.request("POST", PREDICT, "{")[0] == 400
        assert both[0].result()[0] == 504
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0, strict)
    assert strict.mask(GOOD)


def test_eight_clients_are_never_refused(server: Server, expected: Callable[[bytes, int], bytes]):
    images = [encoded(noise(60 + i, 50)) for i in range(8)]
    masks = [expected(image, 1) for image in images]

    def client(i: int) -> list[bool]:
        return [server.mask(images[(i + j) % 8]) == masks[(i + j) % 8] for j in range(10)]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(right) for right in pool.map(client, range(8)))


def test_clients_that_disconnect_stop_the_work_for_them(server: Server):
    body = SLOW.encode()
    connections = [raw(server, head(len(body)) + body) for _ in range(4)]
    wait_for(lambda: gauge(server, "serving_predictions_running") >= 2, server)
    for connection in connections:
        connection.close()
    # Far sooner than the minutes that the images would take.
    wait_for(lambda: gauge(server, "serving_predictions_running") == 0, server)
    assert gauge(server, "serving_predictions_waiting") == 0
    assert server.mask(GOOD)


def test_a_client_that_disconnects_within_its_body(server: Server):
    raw(server, head(10**6) + b'{"instances"').close()
    wait_for(lambda: gauge(server, "serving_request_body_bytes") == 0, server)
    assert server.mask(GOOD)
