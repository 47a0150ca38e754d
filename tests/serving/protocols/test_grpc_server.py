"""The gRPC server; its calls by standard clients: tests/serving/clients."""

from __future__ import annotations

import re

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.hostile.frames import unread
from tests.serving.hostile.messages import INFER, STATUS, called, field, image, infer, tensor
from tests.serving.limits import MEBIBYTE, gauge
from tests.serving.running import PYTHON, Server, answers, wait_for

pytestmark = pytest.mark.server


def test_answers_that_nobody_reads_end_with_their_connection(strict: Server):
    asked = called(field(1, field(1, b"x")), STATUS)
    with unread(strict, calls=32):
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["RESOURCE_EXHAUSTED"], strict)
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["NOT_FOUND"], strict)
    assert "Traceback" not in strict.log()


def test_answers_that_nobody_reads_count_as_memory_in_use(server: Server):
    name = field(1, b"signature_name") + field(2, field(3, b"probabilities"))
    content = encoded(noise(500, 500), "JPEG", quality=1)
    with unread(server, 2, INFER, infer(tensor(), field(4, name), image(content))):
        wait_for(lambda: gauge(server, "serving_request_body_bytes") > 2 * MEBIBYTE, server)
        assert gauge(server, "serving_predictions_running") == 0
    wait_for(lambda: gauge(server, "serving_request_body_bytes") == 0, server)


def test_a_message_that_is_too_large_is_counted_as_what_its_client_is_told(strict: Server):
    def counts() -> dict[str, float]:
        sample = r'^serving_requests_total\{protocol="grpc",status="(\w+)"\} (\S+)'
        return {status: float(count) for status, count in re.findall(sample, strict.get("/metrics"), re.M)}

    before = counts()
    (reply,) = called(infer(tensor(), image(bytes(2 * MEBIBYTE))))(strict)
    assert reply.status == "RESOURCE_EXHAUSTED"
    after = {**before, reply.status: before.get(reply.status, 0) + 1}
    assert wait_for(lambda: (found := counts()) != before and found, strict) == after


# Calls of one client whose message does not come, more than it may have; and one of another client.
SHARES = """
import asyncio, collections, json
from serving.memory import Releaser
from serving.protocols.grpc_server import Interceptor
from serving.protocols.request_body import BodyReader
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

class Handler:
    request_deserializer = GetModelStatusRequest.FromString

    async def unary_unary(self, request, context):
        return request

class Context:
    def __init__(self, peer, comes):
        self.found, self._peer, self._comes = "waits", peer, comes

    def peer(self):
        return self._peer

    async def read(self):
        await self._comes.wait()
        return b""

    async def write(self, data):
        self.found = "answered"

    async def abort(self, code, message):
        self.found = f"{code.name}: {message}"

class Details:
    method = "any"

async def main():
    async def continuation(details):
        return Handler()

    wire = await Interceptor(BodyReader(100, 800, Releaser()), 60).intercept_service(continuation, Details())
    late, now = asyncio.Event(), asyncio.Event()
    now.set()
    stalled = [Context(f"ipv4:192.0.2.1:{port}", late) for port in range(40)]
    running = [asyncio.ensure_future(wire.stream_stream(None, context)) for context in stalled]
    await asyncio.sleep(0.1)
    other = Context("ipv4:192.0.2.2:1", now)
    asked = asyncio.ensure_future(wire.stream_stream(None, other))
    await asyncio.sleep(0.1)
    said = [collections.Counter(context.found for context in stalled), other.found]
    late.set()
    await asyncio.gather(asked, *running)
    print(json.dumps([*said, collections.Counter(context.found for context in stalled)]))

asyncio.run(main())
"""


def test_calls_of_one_client_leave_room_for_those_of_another():
    refused = "RESOURCE_EXHAUSTED: overloaded: 32 calls of this client are in progress"
    assert answers(PYTHON, SHARES) == [
        {"waits": 32, refused: 8},
        "answered",
        {"answered": 32, refused: 8},
    ]
