"""The Open Inference Protocol (V2): its requests and responses, over REST and gRPC.

In REST, tensors are JSON, or bytes after the JSON (the binary extension: `binary_data_size` and the header
`Inference-Header-Content-Length`). JSON has no bytes: an input with `"content_type": "base64"` among its
parameters holds base64, and so does every output of bytes, with the same parameter. The parameter
`signature_name` of a request selects the signature.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import orjson
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse
from kserve.protocol.infer_type import (
    InferOutput,
    InferRequest,
    InferResponse,
    deserialize_bytes_tensor,
    serialize_byte_tensor,
    to_http_parameters,
)
from kserve.utils.numpy_codec import from_np_dtype, to_np_dtype

from serving.errors import Refused, bad_request, quoted
from serving.model.image_size import pixels_of
from serving.model.loaded import DEFAULT_SIGNATURE, LoadedModel
from serving.model.turns import Work
from serving.protocols.json_values import MOST_VALUES, parse_json
from serving.protocols.request_body import whole_number
from serving.protocols.rest_v1 import decoded, refuse_bare_image

HEADER_LENGTH = "inference-header-content-length"
MOST_TENSORS = 1024  # of a gRPC request: each of a few bytes becomes objects of a kilobyte
BASE64 = {"content_type": "base64"}
# Exceptions that a malformed request raises while it is parsed.
_KINDS: dict[type, str] = {list: "a list", str: "a string"}
T = TypeVar("T")
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error)


@dataclass(frozen=True)
class InferCall:
    """A parsed inference request, before it is checked against a model."""

    name: str
    identity: str
    signature: str
    feed: Mapping[str, np.ndarray]
    pixels: int  # that the images declare, and the number of other values
    outputs: tuple[str, ...] = ()  # names of the requested outputs; empty for all
    binary: frozenset[str] = field(default_factory=frozenset)  # outputs to send as bytes after the JSON
    all_binary: bool = False

    @staticmethod
    def from_rest(name: str, body: bytes | bytearray, header_length: str | None) -> InferCall:
        """Parses a REST request; refuses malformed ones.

        Args:
            name: name of the model.
            body: body of the request: JSON, possibly with bytes after it.
            header_length: length of the JSON, if bytes follow it.
        """
        length = len(body)
        if header_length is not None:
            declared = whole_number(header_length)
            if declared is None or declared > length:
                raise bad_request(f"Inference-Header-Content-Length must be at most {length}, the body's")
            length = declared
        content = parse_json(memoryview(body)[:length])
        try:
            return _parsed(name, content, memoryview(body)[length:])
        except (*MALFORMED, RecursionError):
            raise bad_request("the body is not an inference request of the V2 protocol") from None

    @staticmethod
    def from_grpc(request: ModelInferRequest) -> InferCall:
        """Parses a gRPC request; refuses malformed ones."""
        if len(request.inputs) > MOST_TENSORS or len(request.outputs) > MOST_TENSORS:
            raise bad_request(f"the request has more than {MOST_TENSORS} inputs or outputs")
        raw = len(request.raw_input_contents)
        if raw and raw != len(request.inputs):
            raise bad_request(f"{len(request.inputs)} inputs, but {raw} raw_input_contents")
        texts = 0
        for tensor, content in zip(request.inputs, request.raw_input_contents, strict=False):
            texts += _count_texts(content, MOST_VALUES - texts) if tensor.datatype == "BYTES" else 0
        try:
            feed = {tensor.name: tensor.as_numpy() for tensor in InferRequest.from_grpc(request).inputs}
        except (InvalidInput, InferenceError, *MALFORMED):
            raise bad_request("the tensors do not fit their shapes or datatypes") from None
        signature = to_http_parameters(request.parameters).get("signature_name") or DEFAULT_SIGNATURE
        wanted = tuple(output.name for output in request.outputs)
        if not feed:
            raise bad_request("the request has no inputs")
        return InferCall(
            request.model_name, request.id, str(signature), feed, pixels_of(feed), wanted, all_binary=raw > 0
        )

    def to_rest(self, model: LoadedModel, work: Work) -> tuple[bytes, dict[str, str]]:
        """Runs the model; returns body and headers of the REST response."""
        outputs: list[dict[str, Any]] = []
        behind: list[bytes] = []
        for name, array in self._outputs(model, work).items():
            output = {"name": name, "shape": list(array.shape), "datatype": from_np_dtype(array.dtype)}
            if name in self.binary or self.all_binary:
                behind.append(_bytes_of(array))
                output["parameters"] = {"binary_data_size": len(behind[-1])}
            elif array.dtype == object:
                output["data"] = [base64.b64encode(value).decode() for value in array.ravel()]
                output["parameters"] = BASE64
            else:
                output["data"] = array.ravel()
            outputs.append(output)
        answer = {"id": self.identity, "model_name": self.name, "model_version": str(model.version),
                  "outputs": outputs}  # fmt: skip
        text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        if not behind:
            return text, {"content-type": "application/json"}
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
        return b"".join([text, *behind]), headers

    def to_grpc(self, model: LoadedModel, work: Work) -> ModelInferResponse:
        """Runs the model; returns the gRPC response, with raw contents if the request had them."""
        outputs = []
        for name, array in self._outputs(model, work).items():
            outputs.append(InferOutput(name, list(array.shape), from_np_dtype(array.dtype)))
            if self.all_binary:
                outputs[-1].set_data_from_numpy(array, binary_data=True)
            else:
                outputs[-1].data = array.ravel().tolist()
        response = InferResponse(
            self.identity, self.name, outputs, str(model.version), use_binary_outputs=self.all_binary
        )
        return response.to_grpc()

    def _outputs(self, model: LoadedModel, work: Work) -> dict[str, np.ndarray]:
        known = model.signature(self.signature).outputs
        unknown = [name for name in self.outputs if name not in known]
        if unknown:
            raise bad_request(f"there is no output {', '.join(unknown)}, only {', '.join(sorted(known))}")
        found = model.call(self.signature, self.feed, work)
        return {name: found[name] for name in self.outputs or sorted(found)}


def _value(content: Any, key: str, kind: type[T], where: str) -> T:
    """A value of a JSON object that must be of a kind: "inputs" of the request, "name" of an input."""
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        raise bad_request(
            f"this is not an inference request of the V2 protocol: {where} needs {key!r}, {_KINDS[kind]}"
        )
    return value


def _parsed(name: str, content: Any, behind: memoryview) -> InferCall:
    inputs = _value(content, "inputs", list, "the request")
    parameters = content.get("parameters") or {}
    feed: dict[str, np.ndarray] = {}
    texts = 0
    for tensor in inputs:
        for key, kind in (("name", str), ("datatype", str), ("shape", list)):
            _value(tensor, key, kind, "an input")
        said = tensor.get("parameters") or {}
        if "binary_data_size" in said:
            size = said["binary_data_size"]
            if not isinstance(size, int) or not 0 <= size <= len(behind):
                raise bad_request(
                    f"binary_data_size of input {quoted(tensor['name'])} must be 0 to {len(behind)}"
                )
            if tensor["datatype"] == "BYTES":
                texts += _count_texts(behind[:size], MOST_VALUES - texts)
            feed[tensor["name"]] = _array(tensor, behind[:size])
            behind = behind[size:]
        else:
            feed[tensor["name"]] = _array(tensor, None)
    if not feed:
        raise bad_request("the request has no inputs")
    wanted = content.get("outputs") or []
    binary = [o["name"] for o in wanted if (o.get("parameters") or {}).get("binary_data")]
    return InferCall(
        name,
        str(content.get("id") or ""),
        str(parameters.get("signature_name") or DEFAULT_SIGNATURE),
        feed,
        pixels_of(feed),
        tuple(_value(output, "name", str, "an output") for output in wanted),
        frozenset(binary),
        bool(parameters.get("binary_data_output")),
    )


def _count_texts(raw: bytes | memoryview, most: int) -> int:
    """Counts the texts of a binary tensor, of which each may be nothing but the four bytes of its length."""
    at = count = 0
    while at < len(raw):
        at += 4 + int.from_bytes(raw[at : at + 4], "little")
        count += 1
        if count > most:
            raise Refused(413, f"the tensors of datatype BYTES hold more than {MOST_VALUES} values")
    return count


def _array(tensor: Mapping[str, Any], raw: memoryview | None) -> np.ndarray:
    """Returns the array of an input, from its JSON or from the bytes after it."""
    name, dtype = tensor["name"], to_np_dtype(tensor["datatype"])
    if dtype is None:
        raise bad_request(
            f"input {quoted(name)} has the datatype {quoted(tensor['datatype'])}, which there is not"
        )
    if raw is None:
        values = np.array(tensor["data"], dtype)
        if dtype is np.object_:
            encoded = (tensor.get("parameters") or {}).get("content_type") == "base64"
            flat = [_as_bytes(value, name, encoded) for value in values.ravel()]
            values = np.array([*flat, None], object)[:-1]  # None prevents an array of strings
    elif dtype is np.object_:
        values = deserialize_bytes_tensor(bytes(raw))
    else:
        values = np.frombuffer(raw, dtype)
    try:
        return values.reshape(tensor["shape"])
    except ValueError:
        wanted = f"which do not fill the shape {tensor['shape']}"
        raise bad_request(f"input {quoted(name)} has {values.size} values, {wanted}") from None


def _as_bytes(value: Any, name: str, encoded: bool) -> bytes:
    if not isinstance(value, str):
        raise bad_request(f"input {quoted(name)} must hold strings; received: {type(value).__name__}")
    if not encoded:
        refuse_bare_image(value, name, 'with the parameter {"content_type": "base64"} of the input')
    return decoded(value, name) if encoded else value.encode()


def _bytes_of(array: np.ndarray) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    return serialize_byte_tensor(array).item() if array.size else b""
