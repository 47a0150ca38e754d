"""JSON that is large, deep, or not what it seems."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.serving.hostile.attack import Attack, Reply, posted
from tests.serving.limits import GOOD, INFER, MEBIBYTE, PREDICT
from tests.serving.running import JSON, Server, b64

MANY = "the JSON holds more than 1048576 values"
NO_JSON = "the body is not JSON"
NO_STRING = 'takes bytes, as {"b64": "..."}, or strings'
IMAGE = b64(GOOD)["b64"]


def filled(unit: bytes, mebibytes: int) -> Callable[[], bytes]:
    """Instances of a unit that is repeated."""
    return lambda: b'{"instances": [' + unit * (mebibytes * MEBIBYTE // len(unit)) + b"0]}"


def v2(data: Any, shape: Any, datatype: Any = "BYTES", name: Any = "image_bytes", **more: Any) -> str:
    """A request of the Open Inference Protocol of one input."""
    tensor = {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}
    return json.dumps({"inputs": [tensor]})


def binary(
    behind: bytes, size: Any = None, length: Any = None, **tensor: Any
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request with bytes behind its JSON, of lengths that need not be true."""
    said = {"binary_data_size": len(behind) if size is None else size}
    given = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "parameters": said, **tensor}
    text = json.dumps({"inputs": [given]}).encode()
    return text + behind, {"Inference-Header-Content-Length": str(len(text) if length is None else length)}


def one(value: str) -> bytes:
    return b'{"instances": [' + value.encode() + b"]}"


# name: body, status, sentence
TEXTS: dict[str, tuple[Any, str, str]] = {
    "8 MiB of lists that are never closed": (lambda: b"[" * (8 * MEBIBYTE), "413", MANY),
    "100,000 lists that are never closed": (b"[" * 100_000, "400", NO_JSON),
    "500,000 lists in each other": (
        lambda: b'{"instances": [' + b"[" * 500_000 + b"]" * 500_000 + b"]}", "400", "depth limit",
    ),
    "1,000 lists in each other": (one("[" * 1000 + "]" * 1000), "400", "nested too deeply"),
    "number of a million digits": (one("9" * 10**6), "400", NO_JSON),
    "number of a million digits after the point": (one("0." + "9" * 10**6), "400", NO_STRING),
    "number that no float holds": (one("1e999999"), "400", NO_JSON),
    "NaN": (one("NaN"), "400", NO_JSON),
    "Infinity": (one("-Infinity"), "400", NO_JSON),
    "keys that come twice": ('{"instances": [1], "instances": "x"}', "400", "at least one element"),
    "300,000 keys": (
        lambda: ('{"inputs": {' + ",".join(f'"{i}":[]' for i in range(300_000)) + "}}"), "400", "must hold",
    ),
    "instances that are a text": ('{"instances": "x"}', "400", "at least one element"),
    "instances that are null": ('{"instances": null}', "400", "at least one element"),
    "values that are true": (one("true"), "400", NO_STRING),
    "base64 that is a number": (one('{"b64": 1}'), "400", NO_STRING),
    "base64 that is none": (one('{"b64": "a$b"}'), "400", "not valid base64"),
    "data URI": (
        one(json.dumps({"b64": f"data:image/png;base64,{IMAGE}"})), "400",
        "data URI: give only what stands behind its comma",
    ),
    "base64 with line breaks": (
        one(json.dumps({"b64": "\n".join(IMAGE[i : i + 76] for i in range(0, len(IMAGE), 76))})),
        "400", "leave them out",
    ),
    "base64 as a bare text": (one(f'"{IMAGE}"'), "400", "give its base64 as an object"),
    "bytes that are no UTF-8": (b'{"instances": "\xff"}', "400", NO_JSON),
    "UTF-16": ('{"instances": []}'.encode("utf-16"), "400", NO_JSON),
    "half a surrogate": (b'{"instances": ["\\ud800"]}', "400", NO_JSON),
    "zero bytes": (bytes(MEBIBYTE), "400", NO_JSON),
    "signature of 100,000 letters": (
        json.dumps({"instances": [b64(GOOD)], "signature_name": "x" * 100_000}), "400", "no signature 'xxx",
    ),
    "signature that names a file": (
        json.dumps({"instances": [b64(GOOD)], "signature_name": "../../saved_model.pb"}), "400",
        "no signature",
    ),
    "JSON that another page of a browser may send": (
        one("1"), "400", "needs the header 'Content-Type: application/json'",
    ),
}  # fmt: skip
_BROWSER = {"Content-Type": "text/plain", "Origin": "null"}
_SHAPE = "which do not fill the shape"
_NO_V2 = "the body is not an inference request of the V2 protocol"
V2: dict[str, tuple[Any, str]] = {
    "shape of 2^62 times 2^62": (v2(["x"], [2**62, 2**62]), _SHAPE),
    "shape of 2^64": (v2(["x"], [2**64]), _NO_V2),
    "shape of 100,000 sides": (v2(["x"], [1] * 100_000), _SHAPE),
    "shape below zero": (v2(["x"], [-2]), "accepted are PNG"),
    "shape of fractions": (v2(["x"], [0.5]), _NO_V2),
    "datatype that is none": (v2(["x"], [1], "TEXT"), "'TEXT', which there is not"),
    "number beyond its datatype": (v2([10**15], [1], "INT8"), "takes string of shape [any]"),
    "lists of different lengths": (v2([[1], [1, 2]], [3], "FP32"), _NO_V2),
    "name of an output that is a list": (
        json.dumps({**json.loads(v2(["x"], [1])), "outputs": [{"name": ["x"]}]}),
        "an output needs 'name', a string",
    ),
    "name of 100,000 letters": (v2(["x"], [1], name="x" * 100_000), "takes the inputs image_bytes; received"),
}
_LENGTH, _SIZE = (
    "Inference-Header-Content-Length must be at most",
    "binary_data_size of input 'image_bytes' must be",
)
# name: body and headers, sentence
BINARY: dict[str, tuple[tuple[bytes, dict[str, str]], str]] = {
    "length of the JSON that is longer than the body": (binary(b"", length=10**12), _LENGTH),
    "length of the JSON below zero": (binary(b"", length=-1), _LENGTH),
    "length of the JSON of 5,000 digits": (binary(b"", length="9" * 5000), _LENGTH),
    "length of the JSON in other digits (²)": (binary(b"", length="²"), _LENGTH),
    "length of the JSON that ends within it": (binary(b"", length=7), NO_JSON),
    "size of a tensor below zero": (binary(b"12345678", size=-1), _SIZE),
    "size of a tensor beyond the body": (binary(b"12345678", size=10**12), _SIZE),
    "size of a tensor that is a text": (binary(b"12345678", size="4"), _SIZE),
    "text of a tensor that claims 4 GiB": (binary(b"\xff\xff\xff\xff"), _NO_V2),
    "text of a tensor that is cut short": (binary(b"\5\0\0\0abc"), _NO_V2),
    "million empty texts in a tensor": (binary(bytes(4 * 10**6)), "1000000 values, " + _SHAPE),
    "numbers whose bytes do not fit": (binary(b"123", datatype="FP32"), _NO_V2),
}


def empty_texts(server: Server) -> list[Reply]:
    """Sends 15 million texts of which nothing but the length is there."""
    body, headers = binary(bytes(60 * MEBIBYTE))
    return posted(body, INFER, headers)(server)


ATTACKS = [
    Attack("8 MiB of `{},`, six times at once", posted(filled(b"{},", 8), times=6), "413", MANY, "503 408"),
    Attack(
        "40 MiB of `{},`, three times at once", posted(filled(b"{},", 40), times=3), "413", MANY, "503 408"
    ),
    Attack("40 MiB of `[0],`", posted(filled(b"[0],", 40)), "413", MANY),
    Attack('40 MiB of `"é",`', posted(filled('"é",'.encode(), 40)), "413", MANY),
    Attack("text of 40 MiB that no image is", posted(filled("é".encode() + b'" "', 40)), "400", NO_JSON),
    *(
        Attack(name, posted(body, headers=_BROWSER if "browser" in name else JSON), status, said)
        for name, (body, status, said) in TEXTS.items()
    ),
    Attack("15 million empty texts in a tensor", empty_texts, "413", "hold more than 1048576 values"),
    *(Attack(name, posted(body, INFER), "400", said) for name, (body, said) in V2.items()),
    *(Attack(name, posted(body, INFER, more), "400", said) for name, ((body, more), said) in BINARY.items()),
    Attack(
        "body packed by gzip, 100 MiB within 100 KB",
        posted(lambda: gzip.compress(bytes(100 * MEBIBYTE)), PREDICT, {**JSON, "Content-Encoding": "gzip"}),
        "415",
        "not as Content-Encoding 'gzip'",
    ),
]
