"""The Open Inference Protocol by gRPC, with KServe's own client."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.hostile.frames import unread
from tests.serving.hostile.messages import STATUS, called, field
from tests.serving.running import PYTHON, Server, answers, wait_for

pytestmark = pytest.mark.server


IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11))]


@pytest.fixture(scope="module")
def masks(expected: Callable[[bytes, int], bytes]) -> list[bytes]:
    return [expected(image, 1) for image in IMAGES]


# With KServe's own client, which lives in the server's environment.
GRPC = """
import asyncio, base64, json, sys
import grpc, numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient

async def main(address, *paths):
    images = [open(path, "rb").read() for path in paths]
    said = {}
    unlimited = [("grpc.max_send_message_length", -1)]
    async with InferenceGRPCClient(address, timeout=100, channel_args=unlimited) as client:
        said["ready"] = [
            await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("unet")
        ]

        async def infer(values, model="unet", raw=True, name="image_bytes", **more):
            tensor = InferInput(name, [len(values)], "BYTES")
            tensor.set_data_from_numpy(np.array([*values, None], object)[:-1], binary_data=True)
            request = InferRequest(model, [tensor], **more)
            try:
                answer = await client.infer(request)
            except grpc.RpcError as error:
                return [error.code().name, error.details()]
            masks = answer.outputs[0].as_numpy().ravel()
            return [answer.model_version, answer.id, [base64.b64encode(mask).decode() for mask in masks]]

        said["masks"] = await infer(images, request_id="7")
        said["signature"] = len((await infer(images[:1], parameters={"signature_name": "probabilities"}))[2])
        said["no image"] = await infer([b"no image"])
        said["model"] = await infer(images, model="x")
        said["input"] = await infer(images, name="x")
        said["no signature"] = await infer(images, parameters={"signature_name": "x"})
        said["version"] = await infer(images, model_version="9")
        said["digits"] = await infer(images, model_version="²")
        said["no end"] = await infer(images, model_version="9" * 5000)
        said["too large"] = await infer([bytes(65 * 2**20)])
        said["again"] = await infer(images, request_id="7")
    print(json.dumps(said))

asyncio.run(main(*sys.argv[1:]))
"""


def test_grpc(server: Server, masks: list[bytes], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / str(i) for i in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        path.write_bytes(image)
    said = answers(PYTHON, GRPC, f"127.0.0.1:{server.grpc_port}", *paths)
    assert said["ready"] == [True] * 3
    right = ["1", "7", [base64.b64encode(mask).decode() for mask in masks]]
    assert (said["masks"], said["again"], said["signature"]) == (right, right, 3)
    for kind, code, words in (
        ("no image", "INVALID_ARGUMENT", "accepted are PNG"),
        ("model", "NOT_FOUND", "no model 'x', only 'unet'"),
        ("input", "INVALID_ARGUMENT", "takes the inputs image_bytes; received: x"),
        ("no signature", "INVALID_ARGUMENT", "no signature 'x'"),
        ("version", "NOT_FOUND", "version 9 is not served, only 1"),
        ("digits", "NOT_FOUND", "the version is no whole number"),
        ("no end", "NOT_FOUND", "the version is no whole number"),
        ("too large", "RESOURCE_EXHAUSTED", "larger than max"),
    ):
        found, message = said[kind]
        assert (kind, found) == (kind, code)
        assert words in message
    assert "Traceback" not in server.log()


def test_answers_that_nobody_reads_end_with_their_connection(strict: Server):
    asked = called(field(1, field(1, b"x")), STATUS)
    with unread(strict, calls=32):
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["RESOURCE_EXHAUSTED"], strict)
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["NOT_FOUND"], strict)
    assert "Traceback" not in strict.log()
