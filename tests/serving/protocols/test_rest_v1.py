"""TensorFlow Serving's REST interface, and what else is told by GET."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import encoded, noise
from tests.serving.running import JSON, Server, b64

pytestmark = pytest.mark.server

IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11)), encoded(noise(33, 21), "JPEG")]
PREDICT = "/v1/models/unet:predict"


def decoded(values: list[dict[str, str]]) -> list[bytes]:
    return [base64.b64decode(value["b64"]) for value in values]


@pytest.fixture(scope="module")
def masks(expected: Callable[[bytes, int], bytes]) -> list[bytes]:
    return [expected(image, 1) for image in IMAGES]


@pytest.mark.parametrize("signature", [{}, {"signature_name": "serving_default"}, {"signature_name": ""}])
@pytest.mark.parametrize("named", [False, True])
def test_rows(server: Server, masks: list[bytes], named: bool, signature: dict[str, str]):
    rows = [{"image_bytes": b64(image)} if named else b64(image) for image in IMAGES]
    status, answer = server.predict({"instances": rows, **signature})
    assert (status, list(answer)) == (200, ["predictions"])
    assert decoded(answer["predictions"]) == masks


@pytest.mark.parametrize("named", [False, True])
def test_columns(server: Server, masks: list[bytes], named: bool):
    values = [b64(image) for image in IMAGES]
    status, answer = server.predict({"inputs": {"image_bytes": values} if named else values})
    assert (status, list(answer)) == (200, ["outputs"])
    assert decoded(answer["outputs"]) == masks


def test_another_signature(server: Server, masks: list[bytes]):
    status, answer = server.predict({"instances": [b64(IMAGES[0])], "signature_name": "probabilities"})
    assert status == 200
    maps = [np.asarray(Image.open(io.BytesIO(data))) for data in decoded(answer["predictions"][0])]
    assert [m.shape for m in maps] == [(40, 60)] * 3
    np.testing.assert_allclose(sum(m.astype(int) for m in maps), 65535, atol=2)


def test_outputs_of_several_names_and_kinds(server: Server):
    import tensorflow as tf

    image = noise(20, 30)
    features = {"image": encoded(image), "mask": encoded(image % 3)}
    feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    rows = {"instances": [b64(example)] * 2, "signature_name": "evaluate"}
    status, by_row = server.predict(rows)
    assert (status, len(by_row["predictions"])) == (200, 2)
    assert base64.b64decode(by_row["predictions"][1]["ground_truth_bytes"]["b64"]) == features["mask"]
    assert sum(by_row["predictions"][1]["confusion"]) == image.size

    status, by_column = server.predict({"inputs": [b64(example)], "signature_name": "evaluate"})
    assert (status, set(by_column["outputs"])) == (
        200,
        {"confusion", "probabilities_bytes", "ground_truth_bytes"},
    )
    assert by_column["outputs"]["confusion"] == [by_row["predictions"][0]["confusion"]]


def test_numbers_in_and_out(server: Server, masks: list[bytes]):
    mask = np.asarray(Image.open(io.BytesIO(masks[0]))).tolist()
    image = noise(40, 60)[..., None].tolist()
    status, answer = server.predict({"signature_name": "tensors", "instances": [image, image]})
    assert (status, answer) == (200, {"predictions": [mask, mask]})
    status, answer = server.predict({"signature_name": "tensors", "inputs": {"images": [image]}})
    assert (status, answer) == (200, {"outputs": [mask]})


def test_requests_on_one_connection(server: Server, masks: list[bytes]):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for body, status in ((b"{", 400), (json.dumps({"instances": [b64(IMAGES[0])]}).encode(), 200)) * 2:
        connection.request("POST", PREDICT, body, JSON)
        response = connection.getresponse()
        assert response.status == status
        response.read()
    connection.close()


@pytest.mark.parametrize("path", ["/v1/models/unet/metadata", "/v1/models/unet/versions/1/metadata"])
def test_signatures(server: Server, path: str):
    told = server.get(path)
    assert told["model_spec"] == {"name": "unet", "signature_name": "", "version": "1"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) >= {"serving_default", "probabilities", "tensors"}
    assert signatures["serving_default"]["inputs"] == {
        "image_bytes": {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_default_image_bytes:0",
        }
    }
    assert list(signatures["serving_default"]["outputs"]) == ["mask_bytes"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v1/models/unet/versions/9", "there is no version 9"),
        ("GET", "/v1/models/unet/versions/9/metadata", "version 9 is not served, only 1"),
        ("GET", "/v1/models/x/metadata", "there is no model 'x', only 'unet'"),
        ("GET", "/v1/models/unet/labels/stable", "there are no version labels"),
        ("GET", "/v1/models/unet/labels/stable/metadata", "there are no version labels"),
        ("POST", "/v1/models/unet/labels/stable:predict", "there are no version labels"),
    ],
)
def test_what_is_not_there(server: Server, method: str, path: str, words: str):
    status, _, body = server.request(method, path)
    assert (status, words in json.loads(body)["error"]) == (404, True)


def test_one_version(server: Server):
    assert server.get("/v1/models/unet/versions/1") == server.get("/v1/models/unet")


FORM = {"Content-Type": "application/x-www-form-urlencoded"}  # what `curl -d` says


@pytest.mark.parametrize("headers", [{}, FORM])
def test_a_program_need_not_say_that_it_sends_json(server: Server, headers: dict[str, str]):
    content = json.dumps({"instances": [b64(IMAGES[0])]})
    assert server.request("POST", PREDICT, content, headers)[0] == 200


def test_curl_need_not_say_that_it_sends_json(server: Server, masks: list[bytes]):
    content = json.dumps({"instances": [b64(IMAGES[0])]})
    command = ["curl", "-sS", "--noproxy", "*", "-d", "@-", server.url + PREDICT]
    done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=60, check=True)
    assert decoded(json.loads(done.stdout)["predictions"]) == masks[:1]


@pytest.mark.parametrize("path", [PREDICT, "/v2/models/unet/infer"])
@pytest.mark.parametrize(
    "browser",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [{}, FORM, {"Content-Type": "text/plain"}], ids=str)
def test_a_browser_must(server: Server, path: str, browser: dict[str, str], kind: dict[str, str]):
    status, _, body = server.request("POST", path, "{}", {**browser, **kind})
    assert (status, "needs the header 'Content-Type: app" in json.loads(body)["error"]) == (400, True)
