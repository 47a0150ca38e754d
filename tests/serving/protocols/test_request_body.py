"""The body of a request: no more of it is held than the limits allow."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.limits import GOOD, INFER, MEBIBYTE, PREDICT, gauge, head, raw
from tests.serving.running import JSON, Server, b64, wait_for

pytestmark = pytest.mark.server


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


# What JSON of a few bytes a value takes is bounded before it is parsed.
CROWDS = {
    "empty objects": (b"{}," * (8 * MEBIBYTE // 3) + b"{}", "holds more than 1048576 values"),
    "lists": (b"[0]," * (8 * MEBIBYTE // 4) + b"0", "holds more than 1048576 values"),
    "lists in lists": (b"[" * 500_000 + b"]" * 500_000, "depth limit"),
}


@pytest.mark.parametrize("kind", CROWDS)
def test_many_values_take_no_memory_and_stop_nobody(server: Server, kind: str):
    values, said = CROWDS[kind]
    body = b'{"instances": [' + values + b"]}"
    server.mask(GOOD)
    before, peak, slowest = server.memory(), 0, 0.0
    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(server.request, "POST", PREDICT, body) for _ in range(6)]
        while not all(future.done() for future in sent):
            start = time.monotonic()
            assert server.get("/v2/health/live") == {"live": True}
            slowest = max(slowest, time.monotonic() - start)
            peak = max(peak, server.memory())
    for future in sent:
        status, _, answer = future.result()
        assert status in (400, 413)
        assert said in json.loads(answer)["error"]
    assert slowest < 20
    assert peak - before < 100 * MEBIBYTE  # of bodies: 24 MiB, and their blocks


def test_the_values_behind_the_json_are_not_counted(server: Server):
    """Bytes that look like JSON are the content of a tensor."""
    behind = b"," * (2 * MEBIBYTE)
    size = {"binary_data_size": len(behind)}
    tensor = {"name": "image_bytes", "datatype": "UINT8", "shape": [len(behind)], "parameters": size}
    text = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    status, _, answer = server.request("POST", INFER, text + behind, headers)
    assert (status, "takes string" in json.loads(answer)["error"]) == (400, True)


def test_the_limit_is_exact(strict: Server):
    good = json.dumps({"instances": [b64(GOOD)]})
    fits = good + " " * (MEBIBYTE - len(good))
    assert strict.request("POST", PREDICT, fits)[0] == 200
    assert strict.request("POST", PREDICT, fits + " ")[0] == 413


def test_a_client_that_disconnects_within_its_body(server: Server):
    raw(server, head(10**6) + b'{"instances"').close()
    wait_for(lambda: gauge(server, "serving_request_body_bytes") == 0, server)
    assert server.mask(GOOD)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_ways_to_say_json(server: Server, kind: str):
    body = json.dumps({"instances": [b64(GOOD)]})
    assert server.request("POST", PREDICT, body, {"Content-Type": kind})[0] == 200


def test_a_body_in_chunks(server: Server, expected: Callable[[bytes, int], bytes]):
    body = json.dumps({"instances": [b64(GOOD)]}).encode()
    chunks = (body[i : i + 1000] for i in range(0, len(body), 1000))  # of no length that is known before
    status, _, answer = server.request("POST", PREDICT, chunks)
    assert status == 200
    assert base64.b64decode(json.loads(answer)["predictions"][0]["b64"]) == expected(GOOD, 1)


@pytest.mark.parametrize("path", [PREDICT, INFER])
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/octet-stream", "image/png"]
)
def test_another_content_type(server: Server, path: str, kind: str):
    headers = {"Content-Type": kind}
    status, _, answer = server.request("POST", path, json.dumps({"instances": [b64(GOOD)]}), headers)
    assert (status, json.loads(answer)) == (
        400,
        {"error": f"the request needs the header 'Content-Type: application/json'; received: {kind}"},
    )
