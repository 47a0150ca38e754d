"""The Open Inference Protocol (V2), by REST and by gRPC."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import PATIENCE, PYTHON, Server

pytestmark = pytest.mark.server

IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11))]
INFER = "/v2/models/unet/infer"
BASE64 = {"content_type": "base64"}


@pytest.fixture(scope="module")
def masks(expected: Callable[[bytes, int], bytes]) -> list[bytes]:
    return [expected(image, 1) for image in IMAGES]


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "image_bytes", "datatype": "BYTES", "shape": [2], **more}


def texts() -> list[str]:
    return [base64.b64encode(image).decode() for image in IMAGES]


def with_lengths(values: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


@pytest.mark.parametrize("path", [INFER, "/v2/models/unet/versions/1/infer"])
def test_json(server: Server, masks: list[bytes], path: str):
    content = {"id": "7", "inputs": [tensor(data=texts(), parameters=BASE64)]}
    status, headers, body = server.request("POST", path, json.dumps(content))
    answer = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert {key: answer[key] for key in ("id", "model_name", "model_version")} == {
        "id": "7", "model_name": "unet", "model_version": "1"
    }  # fmt: skip
    (output,) = answer["outputs"]
    assert [base64.b64decode(text) for text in output.pop("data")] == masks
    assert output == {"name": "mask_bytes", "datatype": "BYTES", "shape": [2], "parameters": BASE64}


def test_bytes_behind_the_json(server: Server, masks: list[bytes]):
    behind = with_lengths(IMAGES)
    content = {
        "inputs": [tensor(parameters={"binary_data_size": len(behind)})],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(content).encode()
    sent = {"Inference-Header-Content-Length": str(len(text))}
    status, headers, body = server.request("POST", INFER, text + behind, sent)
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    length = int(headers["inference-header-content-length"])
    (output,) = json.loads(body[:length])["outputs"]
    assert body[length:] == with_lengths(masks)
    assert output["parameters"] == {"binary_data_size": len(body) - length}


def test_another_signature_and_some_of_its_outputs(server: Server):
    import tensorflow as tf

    image = noise(20, 30)
    features = {"image": encoded(image), "mask": encoded(image % 3)}
    feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    data = [base64.b64encode(example).decode()]
    content: dict[str, Any] = {
        "inputs": [{**tensor(data=data, parameters=BASE64, shape=[1]), "name": "examples"}],
        "parameters": {"signature_name": "evaluate"},
        "outputs": [
            {"name": "confusion"},
            {"name": "ground_truth_bytes", "parameters": {"binary_data": True}},
        ],
    }
    status, headers, body = server.request("POST", INFER, json.dumps(content))
    assert status == 200, body
    length = int(headers["inference-header-content-length"])
    confusion, ground_truth = json.loads(body[:length])["outputs"]
    assert (confusion["datatype"], confusion["shape"], sum(confusion["data"])) == ("FP64", [1, 9], image.size)
    assert (ground_truth["name"], body[length:]) == ("ground_truth_bytes", with_lengths([features["mask"]]))

    content["outputs"] = [{"name": "x"}]
    status, _, body = server.request("POST", INFER, json.dumps(content))
    assert (status, "there is no output x" in json.loads(body)["error"]) == (400, True)


def test_an_empty_batch(server: Server):
    status, _, body = server.request("POST", INFER, json.dumps({"inputs": [tensor(data=[], shape=[0])]}))
    assert (status, json.loads(body)["outputs"][0]["data"]) == (200, [])


def test_what_is_told_about_server_and_model(server: Server):
    assert server.get("/v2")["name"] == "kserve"
    assert server.get("/v2/models") == {"models": ["unet"]}
    assert server.get("/v2/models/unet/ready") == {"name": "unet", "ready": True}
    told = server.get("/v2/models/unet")
    assert told["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    assert told["outputs"] == [{"name": "mask_bytes", "datatype": "BYTES", "shape": [-1]}]


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
    command = [str(PYTHON), "-c", GRPC, f"127.0.0.1:{server.grpc_port}", *map(str, paths)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["ready"] == [True] * 3
    right = ["1", "7", [base64.b64encode(mask).decode() for mask in masks]]
    assert (said["masks"], said["again"], said["signature"]) == (right, right, 3)
    for kind, code, words in (
        ("no image", "INVALID_ARGUMENT", "accepted are PNG"),
        ("model", "NOT_FOUND", "no model 'x', only 'unet'"),
        ("input", "INVALID_ARGUMENT", "takes the inputs image_bytes; received: x"),
        ("no signature", "INVALID_ARGUMENT", "no signature 'x'"),
        ("version", "NOT_FOUND", "version 9 is not served, only 1"),
        ("too large", "RESOURCE_EXHAUSTED", "larger than max"),
    ):
        found, message = said[kind]
        assert (kind, found) == (kind, code)
        assert words in message
    assert "Traceback" not in server.log()
