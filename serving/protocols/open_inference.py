"""The Open Inference Protocol (V2): its requests and answers, by REST and by gRPC.

By REST, tensors are JSON, or lie behind the JSON as bytes (the binary extension: `binary_data_size` and the
header `Inference-Header-Content-Length`). JSON has no bytes: an input that says `"content_type": "base64"`
among its parameters holds base64, and so does, and says, every output of bytes. The parameter
`signature_name` of a request chooses the signature.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from kserve import InferOutput, InferRequest, InferResponse
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse
from kserve.protocol.infer_type import deserialize_bytes_tensor, serialize_byte_tensor, to_http_parameters
from kserve.utils.numpy_codec import from_np_dtype, to_np_dtype

from serving.errors import bad_request
from serving.model.loaded import DEFAULT_SIGNATURE, Cancellation, LoadedModel, Signature
from serving.protocols.rest_v1 import decoded

HEADER_LENGTH = "inference-header-content-length"
BASE64 = {"content_type": "base64"}
# What goes wrong in a request that is put together wrongly.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error)


@dataclass(frozen=True)
class InferCall:
    """An inference before it meets a model."""

    name: str
    identity: str
    signature: str
    feed: Mapping[str, np.ndarray]
    outputs: tuple[str, ...] = ()  # those that are wanted; none: all
    binary: frozenset[str] = field(default_factory=frozenset)  # of those, as bytes behind the JSON
    all_binary: bool = False

    @staticmethod
    def from_rest(name: str, body: bytes, header_length: str | None) -> InferCall:
        """Reads a REST call; refuses what is none.

        Args:
            name: of the model.
            body: JSON, and what lies behind it.
            header_length: length of the JSON, if anything lies behind it.
        """
        length = len(body)
        if header_length is not None:
            if not (header_length.isascii() and header_length.isdigit() and int(header_length) <= length):
                raise bad_request(f"Inference-Header-Content-Length must be at most {length}, the body's")
            length = int(header_length)
        try:
            content = orjson.loads(memoryview(body)[:length])
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the body is not JSON: {error}") from None
        try:
            return _parsed(name, content, memoryview(body)[length:])
        except (*MALFORMED, RecursionError) as error:
            raise bad_request(f"the body is not an inference request of the V2 protocol: {error!r}") from None

    @staticmethod
    def from_grpc(request: ModelInferRequest) -> InferCall:
        """Reads a gRPC call; refuses what is none."""
        raw = len(request.raw_input_contents)
        if raw and raw != len(request.inputs):
            raise bad_request(f"{len(request.inputs)} inputs, but {raw} raw_input_contents")
        try:
            feed = {tensor.name: tensor.as_numpy() for tensor in InferRequest.from_grpc(request).inputs}
        except (InvalidInput, InferenceError, *MALFORMED) as error:
            raise bad_request(f"the tensors do not fit their shapes or datatypes: {error}") from None
        signature = to_http_parameters(request.parameters).get("signature_name") or DEFAULT_SIGNATURE
        wanted = tuple(output.name for output in request.outputs)
        if not feed:
            raise bad_request("the request has no inputs")
        return InferCall(request.model_name, request.id, str(signature), feed, wanted, all_binary=raw > 0)

    def to_rest(self, model: LoadedModel, cancel: Cancellation) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the answer by REST."""
        outputs: list[dict[str, Any]] = []
        behind: list[bytes] = []
        for name, array in self._outputs(model, cancel).items():
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

    def to_grpc(self, model: LoadedModel, cancel: Cancellation) -> ModelInferResponse:
        """The message of the answer by gRPC; raw, if the request was."""
        outputs = []
        for name, array in self._outputs(model, cancel).items():
            outputs.append(InferOutput(name, list(array.shape), from_np_dtype(array.dtype)))
            if self.all_binary:
                outputs[-1].set_data_from_numpy(array, binary_data=True)
            else:
                outputs[-1].data = array.ravel().tolist()
        response = InferResponse(
            self.identity, self.name, outputs, str(model.version), use_binary_outputs=self.all_binary
        )
        return response.to_grpc()

    def _outputs(self, model: LoadedModel, cancel: Cancellation) -> dict[str, np.ndarray]:
        known = model.signature(self.signature).outputs
        unknown = [name for name in self.outputs if name not in known]
        if unknown:
            raise bad_request(f"there is no output {', '.join(unknown)}, only {', '.join(sorted(known))}")
        found = model.call(self.signature, self.feed, cancel)
        return {name: found[name] for name in self.outputs or sorted(found)}


def tensors_of(signature: Signature) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of a signature, as the metadata of a model name them."""

    def described(specs: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "datatype": from_np_dtype(np.dtype(spec.dtype.as_numpy_dtype)) or spec.dtype.name,
                "shape": [-1 if side is None else side for side in spec.shape.as_list()]
                if spec.shape.rank is not None
                else [-1],
            }
            for name, spec in sorted(specs.items())
        ]

    return described(signature.inputs), described(signature.outputs)


def _parsed(name: str, content: Any, behind: memoryview) -> InferCall:
    parameters = content.get("parameters") or {}
    feed: dict[str, np.ndarray] = {}
    for tensor in content["inputs"]:
        said = tensor.get("parameters") or {}
        if "binary_data_size" in said:
            size = said["binary_data_size"]
            if not isinstance(size, int) or not 0 <= size <= len(behind):
                raise bad_request(f"binary_data_size of input {tensor['name']!r} must be 0 to {len(behind)}")
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
        tuple(output["name"] for output in wanted),
        frozenset(binary),
        bool(parameters.get("binary_data_output")),
    )


def _array(tensor: Mapping[str, Any], raw: memoryview | None) -> np.ndarray:
    """The array of an input, from its JSON or from the bytes behind."""
    name, dtype = tensor["name"], to_np_dtype(tensor["datatype"])
    if dtype is None:
        raise bad_request(f"input {name!r} has the datatype {tensor['datatype']!r}, which there is not")
    if raw is None:
        values = np.array(tensor["data"], dtype)
        if dtype is np.object_:
            encoded = (tensor.get("parameters") or {}).get("content_type") == "base64"
            flat = [_as_bytes(value, name, encoded) for value in values.ravel()]
            values = np.array([*flat, None], object)[:-1]  # with None, never taken for an array of strings
    elif dtype is np.object_:
        values = deserialize_bytes_tensor(bytes(raw))
    else:
        values = np.frombuffer(raw, dtype)
    try:
        return values.reshape(tensor["shape"])
    except ValueError:
        wanted = f"which do not fill the shape {tensor['shape']}"
        raise bad_request(f"input {name!r} has {values.size} values, {wanted}") from None


def _as_bytes(value: Any, name: str, encoded: bool) -> bytes:
    if not isinstance(value, str):
        raise bad_request(f"input {name!r} must hold strings; received: {type(value).__name__}")
    return decoded(value, name) if encoded else value.encode()


def _bytes_of(array: np.ndarray) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    return serialize_byte_tensor(array).item() if array.size else b""
