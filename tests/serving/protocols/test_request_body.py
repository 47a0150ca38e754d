"""The body of a request: no more of it is held than the limits allow."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.limits import GOOD, INFER, MEBIBYTE, PREDICT, gauge, head, raw
from tests.serving.running import JSON, PYTHON, Server, answers, b64, wait_for

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


# Two clients with a response each, of which the first reads nothing until it is told to.
UNREAD = """
import asyncio, json
from serving.errors import Refused
from serving.memory import Releaser
from serving.metrics import BODIES
from serving.protocols.request_body import PART, BodyReader, HeldResponse

bodies = BodyReader(max_body=PART, max_bodies=4 * PART, releaser=Releaser())
body = bytes(range(256)) * (3 * PART // 256) + b"end"

def in_use():
    return BODIES._value.get()

async def main():
    said, reads = {}, asyncio.Event()

    async def sent_to(client, reads):
        received = []

        async def send(message):
            received.append(message)
            if message["type"] == "http.response.body":
                await reads.wait()

        try:
            await HeldResponse(body, {"content-type": "text/plain"}, bodies)({}, None, send)
        except Refused as error:
            said[client] = [error.status, error.message, len(received)]
        else:
            whole = b"".join(message["body"] for message in received[1:])
            said[client] = [whole == body, [message["more_body"] for message in received[1:]]]

    slow = asyncio.ensure_future(sent_to("slow", reads))
    await asyncio.sleep(0)
    said["unread"] = in_use() == len(body)
    at_once = asyncio.Event()
    at_once.set()
    await sent_to("beside it", at_once)
    reads.set()
    await slow
    said["read"] = in_use()
    await sent_to("after it", at_once)
    bodies._max_bodies = PART
    await sent_to("too large", at_once)
    print(json.dumps(said))

asyncio.run(main())
"""


def test_responses_that_nobody_reads_count_as_memory_in_use():
    whole = [True, [True, True, True, False]]
    assert answers(PYTHON, UNREAD) == {
        "unread": True,
        "beside it": [503, "overloaded: too many large responses at once", 0],
        "slow": whole,
        "read": 0,
        "after it": whole,
        "too large": [413, "the response would take 786435 bytes; at most 262144 are there", 0],
    }


# What a body in parts of a byte takes while it is received.
DROPS = """
import asyncio, json, tracemalloc
from starlette.requests import Request
from serving.memory import Releaser
from serving.metrics import BODIES
from serving.protocols.request_body import BodyReader

bodies = BodyReader(max_body=10**6, max_bodies=8 * 10**6, releaser=Releaser())
left = [20_000]

async def receive():
    left[0] -= 1
    return {"type": "http.request", "body": b" ", "more_body": left[0] > 0}

async def main():
    request = Request({"type": "http", "headers": [], "client": ("192.0.2.1", 1)}, receive)
    tracemalloc.start()
    async with bodies.read(request, len) as length:
        held = BODIES._value.get()
    peak = tracemalloc.get_traced_memory()[1]
    print(json.dumps([length, held, BODIES._value.get(), len(bodies._held), peak]))

asyncio.run(main())
"""


def test_a_body_in_drops_takes_no_more_than_its_bytes():
    *counted, peak = answers(PYTHON, DROPS)
    assert counted == [20_000, 20_000, 0, 0]
    assert peak < MEBIBYTE  # and not a kilobyte for each


# What is held of bodies while they are in use.
WIDE = """
import asyncio, json
from starlette.requests import Request
from serving.memory import Releaser
from serving.metrics import BODIES
from serving.protocols.json_values import BYTES_OF_A_VALUE
from serving.protocols.request_body import BodyReader

bodies = BodyReader(max_body=10**6, max_bodies=8 * 10**6, releaser=Releaser())

async def held(body, json_length=None):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "headers": [], "client": ("192.0.2.1", 1)}, receive)
    async with bodies.read(request, bytes, json_length):
        return BODIES._value.get() / len(body)

async def main():
    text, image = '{"x": "%s"}', b"\\xff" * 10**5
    plain, emoji = (text % ("a" * 10**5 + end) for end in ("", "\U0001f600"))
    escaped = json.dumps(json.loads(emoji))
    whole = [await held(each.encode()) for each in (plain, emoji, escaped)]
    parts = [await held(each.encode() + image, len(each.encode())) for each in (plain, emoji, escaped)]
    print(json.dumps([round(each, 1) for each in whole + parts]))

asyncio.run(main())
"""


def test_texts_of_rare_characters_count_as_what_python_takes_for_them():
    assert answers(PYTHON, WIDE) == [1, 4, 4, 1, 2.5, 2.5]


# A client that holds all that it may, and others.
HELD = """
import contextlib, json
from serving.errors import Refused
from serving.memory import Releaser
from serving.protocols.request_body import BodyReader

bodies, said = BodyReader(max_body=100, max_bodies=800, releaser=Releaser()), []
bodies._releaser.soon = lambda: None
with contextlib.ExitStack() as held:
    for client, count, what in (
        ("one", 800, "request"), ("one", 1, "request"), ("one", 1, "response"), ("other", 60, "request"),
        ("third", 40, "request"), ("fourth", 1, "request"),
    ):
        try:
            held.enter_context(bodies.hold(count, client, what))
            said.append(True)
        except Refused:
            said.append(False)
print(json.dumps([said, len(bodies._held)]))
"""


def test_one_client_leaves_memory_for_a_request_of_others():
    assert answers(PYTHON, HELD) == [[True, False, True, True, True, False], 0]
