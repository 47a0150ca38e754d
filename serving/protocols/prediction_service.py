"""TensorFlow Serving's gRPC services: PredictionService and ModelService, with this server's limits.

The answers are those of its REST. A tensor's declared shape is checked against its values before any array is
made, since a message of a few bytes may declare a tensor of any size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, GetModelStatusResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceServicer
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceServicer

from serving.errors import NO_LABELS, Refused, bad_request, quoted, require_model
from serving.metrics import LATENCY
from serving.model.image_size import pixels_of
from serving.model.loaded import DEFAULT_SIGNATURE, LoadedModel
from serving.model.predictor import Predictor
from serving.model.turns import Work
from serving.model.versions import Versions
from serving.protocols.client_address import client_of_peer
from serving.protocols.json_values import BYTES_OF_A_VALUE, MOST_VALUES
from serving.protocols.request_body import BodyReader

METADATA = "signature_def"  # the only field of the metadata that there is
MOST_DIMENSIONS = 32  # NumPy's
_VALUES = (
    "half_val", "float_val", "double_val", "int_val", "string_val", "scomplex_val", "int64_val", "bool_val",
    "dcomplex_val", "uint32_val", "uint64_val",
)  # fmt: skip


@dataclass(frozen=True)
class PredictCall:
    """A parsed Predict request, before it is checked against a model."""

    name: str
    signature: str
    feed: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]  # names of the requested outputs; empty for all
    pixels: int  # that the images declare, and the number of other values

    @staticmethod
    def values_of(request: PredictRequest) -> int:
        """Counts the values that the tensors hold or declare, but not as bytes; refuses too many."""
        count = sum(_checked(name, tensor) for name, tensor in request.inputs.items())
        if count > MOST_VALUES:
            raise Refused(413, f"the tensors hold more than {MOST_VALUES} values: send tensor_content")
        return count

    @staticmethod
    def parse(request: PredictRequest) -> PredictCall:
        """Parses a request whose `values_of` were counted; refuses malformed ones."""
        if not request.inputs:
            raise bad_request("the request has no inputs")
        feed = {name: _array(name, tensor) for name, tensor in request.inputs.items()}
        spec = request.model_spec
        signature = spec.signature_name or DEFAULT_SIGNATURE
        return PredictCall(spec.name, signature, feed, tuple(request.output_filter), pixels_of(feed))

    def answer(self, model: LoadedModel, work: Work) -> PredictResponse:
        """Runs the model; returns the response."""
        signature = model.signature(self.signature)
        for name, array in self.feed.items():
            spec = signature.inputs.get(name)
            if spec is not None and array.dtype != spec.dtype.as_numpy_dtype:
                got = "string" if array.dtype == object else array.dtype.name
                raise bad_request(f"input {quoted(name)} takes {spec.dtype.name}; received: {got}")
        unknown = [name for name in self.outputs if name not in signature.outputs]
        if unknown:
            raise bad_request(
                f"there is no output {', '.join(unknown)}, only {', '.join(sorted(signature.outputs))}"
            )
        found = model.call(self.signature, self.feed, work)
        response = PredictResponse(model_spec=_spec(self.name, model, self.signature))
        for name in self.outputs or found:
            response.outputs[name].CopyFrom(
                tf.make_tensor_proto(found[name], signature.outputs[name].dtype, found[name].shape)
            )
        return response


class PredictionService(PredictionServiceServicer):
    """Predictions, and the signatures of the model."""

    def __init__(self, name: str, versions: Versions, predictor: Predictor, bodies: BodyReader) -> None:
        self._name, self._versions, self._predictor, self._bodies = name, versions, predictor, bodies

    async def Predict(self, request: PredictRequest, context: Any) -> PredictResponse:
        """Runs a prediction."""
        start = time.perf_counter()
        version = version_of(request.model_spec, self._name)
        values = await self._bodies.parse(PredictCall.values_of, request)
        client = client_of_peer(context.peer())
        with self._bodies.hold(values * BYTES_OF_A_VALUE, client):
            call = await self._bodies.parse(PredictCall.parse, request)
            answer = await self._predictor.run(call.answer, call.pixels, version, client)
        LATENCY.labels("grpc").observe(time.perf_counter() - start)
        return answer

    async def GetModelMetadata(
        self, request: GetModelMetadataRequest, context: Any
    ) -> GetModelMetadataResponse:
        """Returns the signatures of the served version."""
        version = version_of(request.model_spec, self._name)
        if set(request.metadata_field) != {METADATA}:
            raise bad_request(f"metadata_field must be {METADATA!r}, which is all that there is")
        with self._versions.current(version) as model:
            response = GetModelMetadataResponse(model_spec=_spec(self._name, model))
            response.metadata[METADATA].Pack(SignatureDefMap(signature_def=model.signature_defs))
        return response


class ModelService(ModelServiceServicer):
    """The versions of the model and their states."""

    def __init__(self, name: str, versions: Versions) -> None:
        self._name, self._versions = name, versions

    async def GetModelStatus(self, request: GetModelStatusRequest, context: Any) -> GetModelStatusResponse:
        """Returns the state of each known version, or of the one that is asked for."""
        version = version_of(request.model_spec, self._name)
        states = self._versions.status(version)
        return GetModelStatusResponse(
            model_version_status=[{**state, "version": int(state["version"])} for state in states]
        )


def version_of(spec: ModelSpec, name: str) -> int | None:
    """The version that a request asks for, None for any; refuses other models, and labels.

    Args:
        spec: what the request says of the model.
        name: name of the model that is served.
    """
    require_model(spec.name, name)
    if spec.WhichOneof("version_choice") == "version_label":
        raise Refused(404, NO_LABELS)
    return spec.version.value if spec.HasField("version") else None


def _spec(name: str, model: LoadedModel, signature: str = "") -> ModelSpec:
    return ModelSpec(name=name, version={"value": model.version}, signature_name=signature)


def _checked(name: str, tensor: Any) -> int:
    """The number of values that making the array takes memory for; refuses values that do not fill the shape.

    Serializers may leave out the last values where they are all the same.
    """
    shape = [side.size for side in tensor.tensor_shape.dim[: MOST_DIMENSIONS + 1]]
    if tensor.tensor_shape.unknown_rank or len(shape) > MOST_DIMENSIONS or any(side < 0 for side in shape):
        raise bad_request(
            f"input {quoted(name)} needs a shape of at most {MOST_DIMENSIONS} sides, each of them known"
        )
    declared = math.prod(shape)
    if tensor.tensor_content:
        try:
            size = np.dtype(tf.as_dtype(tensor.dtype).as_numpy_dtype).itemsize
        except (TypeError, KeyError):
            raise _unknown(name) from None
        if declared * size != len(tensor.tensor_content):
            held = len(tensor.tensor_content)
            raise bad_request(f"input {quoted(name)} has {held} bytes, which do not fill the shape {shape}")
        return 0
    count = sum(len(getattr(tensor, field)) for field in _VALUES)
    if count > declared or (declared and not count):
        raise bad_request(f"input {quoted(name)} has {count} values, which do not fill the shape {shape}")
    return declared


def _array(name: str, tensor: Any) -> np.ndarray:
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise _unknown(name) from None


def _unknown(name: str) -> Refused:
    return bad_request(f"the values of input {quoted(name)} do not fit its dtype, or there is no such dtype")
