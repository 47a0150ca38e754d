"""The Open Inference Protocol (V2), by REST and by gRPC."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import Server

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
