"""TensorFlow Serving's REST interface; its calls by curl: tests/serving/clients."""

from __future__ import annotations

import base64
import io
import json
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


def test_signatures(server: Server):
    signatures = server.get("/v1/models/unet/metadata")["metadata"]["signature_def"]["signature_def"]
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


FORM = {"Content-Type": "application/x-www-form-urlencoded"}  # what `curl -d` says


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
