"""The body of a request: no more of it is held than the limits allow."""

from __future__ import annotations

import base64
import json
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
