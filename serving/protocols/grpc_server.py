"""The gRPC server: the Open Inference Protocol, which is KServe's service, and TensorFlow Serving's."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from tensorflow_serving.apis.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from tensorflow_serving.apis.prediction_service_pb2_grpc import add_PredictionServiceServicer_to_server

from serving.errors import Refused
from serving.metrics import LATENCY, REQUESTS
from serving.model.predictor import Predictor
from serving.protocols.description import Description, version_in
from serving.protocols.json_values import BYTES_OF_A_VALUE
from serving.protocols.open_inference import InferCall
from serving.protocols.prediction_service import ModelService, PredictionService
from serving.protocols.request_body import BodyReader

log = logging.getLogger("serving")

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# gRPC receives whole messages; this limits how many are in memory at once.
MAX_CALLS = 32


class Interceptor(grpc.aio.ServerInterceptor):
    """Turns exceptions into status codes, and counts requests."""

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], details: Any) -> Any:
        """Wraps the handler of a call."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def answered(request: Any, context: Any) -> Any:
            code, message = grpc.StatusCode.OK, ""
            try:
                return await handler.unary_unary(request, context)
            except Refused as error:
                code, message = CODES[error.status], error.message
            except NotImplementedError:
                code, message = grpc.StatusCode.UNIMPLEMENTED, f"{details.method} is not offered"
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception:
                log.exception("%s failed", details.method)
                code, message = grpc.StatusCode.INTERNAL, "internal error; the server's log says more"
            finally:
                REQUESTS.labels("grpc", code.name).inc()
            await context.abort(code, message)

        return grpc.unary_unary_rpc_method_handler(
            answered, handler.request_deserializer, handler.response_serializer
        )


class Service(GRPCInferenceServiceServicer):
    """The Open Inference Protocol: what is told about server and model, and inference."""

    def __init__(self, description: Description, predictor: Predictor, bodies: BodyReader) -> None:
        self._description, self._predictor, self._bodies = description, predictor, bodies

    async def ServerMetadata(self, request: Any, context: Any) -> pb.ServerMetadataResponse:
        """Returns name and extensions of the server."""
        return pb.ServerMetadataResponse(**self._description.server())

    async def ServerLive(self, request: Any, context: Any) -> pb.ServerLiveResponse:
        """Returns true."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> pb.ServerReadyResponse:
        """Returns whether a version is loaded and the server does not stop."""
        return pb.ServerReadyResponse(ready=_holds(self._description.require_ready))

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Any) -> pb.ModelReadyResponse:
        """Returns whether the model, in the version of the request, is served."""
        served = functools.partial(
            self._description.require_served, request.name, version_in(request.version)
        )
        return pb.ModelReadyResponse(ready=_holds(served))

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:
        """Returns version, inputs and outputs of the model."""
        return pb.ModelMetadataResponse(**self._description.model(request.name, version_in(request.version)))

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        """Runs an inference."""
        start = time.perf_counter()
        number = version_in(request.model_version)
        self._description.require_served(request.model_name, number)
        values = InferCall.values_of(request)
        with self._bodies.hold(request.ByteSize() + values * BYTES_OF_A_VALUE):
            call = await self._bodies.parse(InferCall.from_grpc, request)
            answer = await self._predictor.run(call.to_grpc, call.pixels, number)
        LATENCY.labels("grpc").observe(time.perf_counter() - start)
        return answer

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        """Refuses the call: only the folder determines which version is served."""
        raise Refused(400, "versions are loaded from the folder alone")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        """Refuses the call: only the folder determines which version is served."""
        raise Refused(400, "versions are loaded from the folder alone")


def _holds(require: Callable[[], None]) -> bool:
    try:
        require()
    except Refused:
        return False
    return True


def create_grpc_server(
    inference: Service,
    prediction: PredictionService,
    models: ModelService,
    address: str,
    max_body: int,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Binds a server that does not serve yet; returns the server and its port, or raises OSError.

    Args:
        inference: the service of the Open Inference Protocol.
        prediction: TensorFlow Serving's service of predictions.
        models: TensorFlow Serving's service of versions.
        address: host and port to listen on.
        max_body: limit for a message, in bytes.
        credentials: certificate and key; None for no TLS.
    """
    options = [
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # otherwise two servers could share one port unnoticed
    ]
    server = grpc.aio.server(interceptors=[Interceptor()], options=options, maximum_concurrent_rpcs=MAX_CALLS)
    add_GRPCInferenceServiceServicer_to_server(inference, server)
    add_PredictionServiceServicer_to_server(prediction, server)
    add_ModelServiceServicer_to_server(models, server)
    try:
        port = (
            server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        )
    except RuntimeError:
        port = 0
    if not port:
        raise OSError(f"cannot listen on {address} for gRPC (--grpc-port)")
    return server, port
