"""Every kind of bad request gets its status and one sentence, and the server goes on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.hostile.json_texts import v2
from tests.serving.limits import GOOD, INFER, PREDICT
from tests.serving.running import JSON, Server, b64

pytestmark = pytest.mark.server

ACCEPTED = "accepted are PNG"


def instances(*images: bytes, **more: Any) -> str:
    return json.dumps({"instances": [b64(image) for image in images], **more})


# name: path, body, status, what the message says
BAD: dict[str, tuple[str, Any, int, str]] = {
    "no bytes of an image": (PREDICT, instances(b""), 400, "^element 0: accepted.* neither of bytes: 0$"),
    "garbage for an image": (PREDICT, instances(b"garbage" * 50), 400, f"{ACCEPTED}.*neither of bytes: 350$"),
    "truncated PNG": (PREDICT, instances(GOOD[:700]), 400, "Invalid PNG data, size 700"),
    "truncated JPEG": (PREDICT, instances(encoded(noise(40, 40), "JPEG")[:200]), 400, "Invalid JPEG data"),
    "one bad image of two": (PREDICT, instances(GOOD, b"x"), 400, f"^element 1: {ACCEPTED}"),
    "empty body": (PREDICT, "", 400, "the body is empty"),
    "no JSON": (PREDICT, "{", 400, "the body is not JSON"),
    "a list": (PREDICT, "[]", 400, "must be a JSON object"),
    "neither rows nor columns": (PREDICT, "{}", 400, 'either "instances" or "inputs"'),
    "both rows and columns": (PREDICT, '{"instances": [1], "inputs": [1]}', 400, "either"),
    "no instances": (PREDICT, '{"instances": []}', 400, "at least one element"),
    "no inputs": (PREDICT, '{"inputs": {}}', 400, '"inputs" is empty'),
    "base64 cut short": (PREDICT, '{"instances": [{"b64": "abc"}]}', 400, "not valid base64"),
    "a number": (PREDICT, '{"instances": [1]}', 400, "takes bytes"),
    "a string that is no image": (PREDICT, '{"instances": ["é"]}'.encode(), 400, f"{ACCEPTED}.*of bytes: 2$"),
    "another input": (PREDICT, '{"instances": [{"image": ""}]}', 400, "image_bytes; received: image$"),
    "some with names": (PREDICT, '{"instances": [{"image_bytes": ""}, ""]}', 400, "must be an object"),
    "nested instances": (
        PREDICT, '{"instances": [[{"b64": ""}]]}', 400, r"takes string of shape \[any\]; received: \[1, 1\]$"
    ),
    "rows of different length": (PREDICT, '{"instances": [[""], ["", ""]]}', 400, "rows differ in length"),
    "a scalar": (PREDICT, '{"inputs": {"b64": ""}}', 400, r"takes string of shape \[any\]; received: \[\]$"),
    "another column": (PREDICT, '{"inputs": {"x": [""]}}', 400, "must hold image_bytes; received: x$"),
    "unknown signature": (
        PREDICT, instances(GOOD, signature_name="x"), 400,
        "no signature 'x', only colored, evaluate, network, probabilities, "
        "serving_default, tensors$",
    ),
    "signature of another kind": (PREDICT, instances(GOOD, signature_name=1), 400, "must be a string"),
    "V2: base64 as it is": (
        INFER, v2([b64(GOOD)["b64"]], [1]), 400, r"with the parameter .*base64.* of the input$"
    ),
    "V2: name of another kind": (INFER, v2(["x"], [1], name=1), 400, "an input needs 'name', a string$"),
    "V2: inputs of another kind": (INFER, '{"inputs": 1}', 400, "the request needs 'inputs', a list$"),
    "V2: shape of another kind": (INFER, v2(["x"], 1), 400, "an input needs 'shape', a list$"),
    "V2: datatype of another kind": (INFER, v2(["x"], [1], 7), 400, "an input needs 'datatype', a string$"),
    "unknown model": ("/v1/models/x:predict", instances(GOOD), 404, "no model 'x', only 'unet'"),
    "unknown verb": ("/v1/models/unet:classify", instances(GOOD), 405, "POST is not answered at"),
    "unknown address": ("/x", "", 405, "POST is not answered at /x"),
    "V2: no JSON": (INFER, "{", 400, "the body is not JSON"),
    "V2: no inputs": (INFER, '{"inputs": []}', 400, "has no inputs"),
    "V2: not V2": (INFER, '{"instances": []}', 400, "V2 protocol: the request needs 'inputs', a list$"),
    "V2: a list": (INFER, "[1]", 400, "not an inference request"),
    "V2: shape": (INFER, v2(["x"], [2]), 400, r"1 values, which do not fill the shape \[2\]"),
    "V2: rank": (INFER, v2(["x"], [1, 1]), 400, r"received: \[1, 1\]"),
    "V2: numbers": (INFER, v2([1], [1]), 400, "must hold strings"),
    "V2: other numbers": (INFER, v2([1], [1], "FP32"), 400, "takes string"),
    "V2: base64": (INFER, v2(["$"], [1], parameters={"content_type": "base64"}), 400, "not valid base64"),
    "V2: input": (INFER, v2(["x"], [1], name="x"), 400, "takes the inputs image_bytes; received: x"),
    "V2: model": ("/v2/models/x/infer", v2(["x"], [1]), 404, "no model 'x'"),
    "arrays of another depth": (
        PREDICT, '{"signature_name": "tensors", "instances": [[[[0, 0]]]]}', 400,
        r"takes float32 of shape \[any, any, any, 1\]; received: \[1, 1, 1, 2\]$",
    ),
    "text for numbers": (
        PREDICT, '{"signature_name": "tensors", "instances": [[[["x"]]]]}', 400, "the value is something else"
    ),
    "patches of another size": (
        PREDICT, '{"signature_name": "network", "instances": [[[[0]]]]}', 400, "sides of patches must be"
    ),
    "V2: version": ("/v2/models/unet/versions/9/infer", v2(["x"], [1]), 404, "version 9 is not served"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_told_so(server: Server, kind: str):
    path, body, status, message = BAD[kind]
    found, headers, answer = server.request("POST", path, body)
    check(found, headers, answer, status, message)


def check(found: int, headers: dict[str, str], answer: bytes, status: int, message: str) -> None:
    content = json.loads(answer)
    assert (found, headers["content-type"], list(content)) == (status, "application/json", ["error"]), content
    assert re.search(message, content["error"]), content
    # One sentence for people: nothing of the graph, the files or the language.
    assert not re.search(r"\n|node|map/while|Traceback|/serving/|\.py", content["error"]), content


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.x"]
)
def test_a_name_that_is_not_of_this_machine(server: Server, name: str):
    for path in ("/metrics", "/", "/v1/models/unet"):
        check(*server.request("GET", path, headers={"Host": name}), 421, f"this server is not '{name}'")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8501", "[::1]"])
def test_a_name_of_this_machine(server: Server, name: str):
    assert server.request("GET", "/v2/health/live", headers={"Host": name})[0] == 200


def test_it_still_answers(server: Server):
    assert server.request("POST", PREDICT, instances(GOOD), JSON)[0] == 200
    assert "Traceback" not in server.log()
    assert " ERROR " not in server.log()
