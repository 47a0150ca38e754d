"""Every kind of bad request gets its status and one sentence, and the server goes on."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import zlib
from typing import Any

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import JSON, Server, b64

pytestmark = pytest.mark.server

GOOD = encoded(noise(40, 60))
PREDICT = "/v1/models/unet:predict"
INFER = "/v2/models/unet/infer"
ACCEPTED = "accepted are PNG"


BOMB = zlib.compress(bytes(100 << 20), 9)  # 100 KB
PROGRESSIVE = encoded(noise(40, 40), "JPEG", progressive=True)
SCANS = PROGRESSIVE[:-2] + PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2] * 5000 + b"\xff\xd9"


def png(width: int, height: int, color: int = 0, packed: bytes = zlib.compress(bytes(100_000))) -> bytes:
    """A PNG of almost no bytes that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def instances(*images: bytes, **more: Any) -> str:
    return json.dumps({"instances": [b64(image) for image in images], **more})


def v2(data: Any, shape: Any, datatype: Any = "BYTES", name: Any = "image_bytes", **more: Any) -> str:
    tensor = {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}
    return json.dumps({"inputs": [tensor]})


# name: path, body, status, what the message says
BAD: dict[str, tuple[str, Any, int, str]] = {
    "no bytes of an image": (PREDICT, instances(b""), 400, "^element 0: accepted.* neither of bytes: 0$"),
    "garbage for an image": (PREDICT, instances(b"garbage" * 50), 400, f"{ACCEPTED}.*neither of bytes: 350$"),
    "truncated PNG": (PREDICT, instances(GOOD[:700]), 400, "Invalid PNG data, size 700"),
    "truncated JPEG": (PREDICT, instances(encoded(noise(40, 40), "JPEG")[:200]), 400, "Invalid JPEG data"),
    "PNG with alpha": (PREDICT, instances(png(4, 4, 6)), 400, "colour type of this PNG: 6$"),
    "one bad image of two": (PREDICT, instances(GOOD, b"x"), 400, f"^element 1: {ACCEPTED}"),
    "decompression bomb": (PREDICT, instances(png(60000, 60000)), 400, "3600.0 million pixels; at most 64 "),
    "more image data than pixels": (
        PREDICT, instances(png(10, 10, packed=BOMB)), 400, "^a PNG of 10 x 10 pixels holds more image data"
    ),
    "thousands of scans": (PREDICT, instances(SCANS), 400, "^a JPEG of more than 100 scans: save it again"),
    "many small bombs": (PREDICT, instances(*[png(5000, 5000)] * 3), 400, "75.0 million pixels"),
    "empty body": (PREDICT, "", 400, "the body is empty"),
    "no JSON": (PREDICT, "{", 400, "the body is not JSON"),
    "not UTF-8": (PREDICT, b'{"instances": "\xff"}', 400, "the body is not JSON"),
    "nested without end": (PREDICT, "[" * 100_000, 400, "the body is not JSON"),
    "nested deeply": (
        PREDICT, '{"instances": ' + "[" * 1000 + "]" * 1000 + "}", 400, "nested too deeply|takes string"
    ),
    "a list": (PREDICT, "[]", 400, "must be a JSON object"),
    "neither rows nor columns": (PREDICT, "{}", 400, 'either "instances" or "inputs"'),
    "both rows and columns": (PREDICT, '{"instances": [1], "inputs": [1]}', 400, "either"),
    "no instances": (PREDICT, '{"instances": []}', 400, "at least one element"),
    "instances of another kind": (PREDICT, '{"instances": "x"}', 400, "at least one element"),
    "no inputs": (PREDICT, '{"inputs": {}}', 400, '"inputs" is empty'),
    "wrong base64": (PREDICT, '{"instances": [{"b64": "a$b"}]}', 400, "not valid base64"),
    "base64 cut short": (PREDICT, '{"instances": [{"b64": "abc"}]}', 400, "not valid base64"),
    "base64 of another kind": (PREDICT, '{"instances": [{"b64": 1}]}', 400, "takes bytes"),
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
    "base64 as it is": (
        PREDICT, json.dumps({"instances": [b64(GOOD)["b64"]]}), 400,
        r'as text: give its base64 as an object: \{"b64"',
    ),
    "a data URI": (
        PREDICT, json.dumps({"instances": [{"b64": "data:image/png;base64," + b64(GOOD)["b64"]}]}), 400,
        "data URI: give only what stands behind its comma",
    ),
    "base64 with line breaks": (
        PREDICT, json.dumps({"instances": [{"b64": base64.encodebytes(GOOD).decode()}]}), 400,
        "leave them out",
    ),
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
    "version that is no number": ("/v1/models/unet/versions/x:predict", "", 404, "nothing at"),
    "version of other digits": ("/v1/models/unet/versions/%C2%B2:predict", "", 404, "nothing at"),
    "version without end": (f"/v1/models/unet/versions/{'9' * 5000}:predict", "", 404, "nothing at"),
    "V2: version without end": (f"/v2/models/unet/versions/{'9' * 5000}/infer", "", 404, "nothing at"),
    "no loading by clients": ("/v2/repository/models/unet/unload", "{}", 404, "nothing at"),
    "V2: no JSON": (INFER, "{", 400, "the body is not JSON"),
    "V2: no inputs": (INFER, '{"inputs": []}', 400, "has no inputs"),
    "V2: not V2": (INFER, '{"instances": []}', 400, "V2 protocol: the request needs 'inputs', a list$"),
    "V2: a list": (INFER, "[1]", 400, "not an inference request"),
    "V2: datatype": (INFER, v2(["x"], [1], "TEXT"), 400, "'TEXT', which there is not"),
    "V2: shape": (INFER, v2(["x"], [2]), 400, r"1 values, which do not fill the shape \[2\]"),
    "V2: rank": (INFER, v2(["x"], [1, 1]), 400, r"received: \[1, 1\]"),
    "V2: numbers": (INFER, v2([1], [1]), 400, "must hold strings"),
    "V2: other numbers": (INFER, v2([1], [1], "FP32"), 400, "takes string"),
    "V2: ragged": (INFER, v2([[1], [1, 2]], [3], "FP32"), 400, "not an inference request"),
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


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_a_compressed_body(server: Server, path: str):
    answer = server.request("POST", path, gzip.compress(b"{}"), {**JSON, "Content-Encoding": "gzip"})
    check(*answer, 415, "not as Content-Encoding 'gzip'")


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.x"]
)
def test_a_name_that_is_not_of_this_machine(server: Server, name: str):
    for path in ("/metrics", "/", "/v1/models/unet"):
        check(*server.request("GET", path, headers={"Host": name}), 421, f"this server is not '{name}'")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8501", "[::1]"])
def test_a_name_of_this_machine(server: Server, name: str):
    assert server.request("GET", "/v2/health/live", headers={"Host": name})[0] == 200


@pytest.mark.parametrize("length", ["x", "-1", "100000000", "1.5", "²", "9" * 5000])
def test_v2_header_length(server: Server, length: str):
    headers = {"Inference-Header-Content-Length": length}
    check(*server.request("POST", INFER, v2(["x"], [1]), headers), 400, "must be at most")


@pytest.mark.parametrize("size", [-1, 9, 10**12, "4", None])
def test_v2_binary_size(server: Server, size: Any):
    tensor = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": size},
    }
    text = json.dumps({"inputs": [tensor]})
    headers = {"Inference-Header-Content-Length": str(len(text))}
    check(*server.request("POST", INFER, f"{text}12345678", headers), 400, "must be 0 to 8")


@pytest.mark.parametrize("behind", [b"\5\0\0\0abc", b"\1\0", b"\xff\xff\xff\xff"])
def test_v2_binary_strings_that_are_cut_short(server: Server, behind: bytes):
    size = {"binary_data_size": len(behind)}
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "parameters": size}
    text = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    check(*server.request("POST", INFER, text + behind, headers), 400, "not an inference request")


def test_it_still_answers(server: Server):
    assert server.request("POST", PREDICT, instances(GOOD), JSON)[0] == 200
    assert "Traceback" not in server.log()
    assert " ERROR " not in server.log()
