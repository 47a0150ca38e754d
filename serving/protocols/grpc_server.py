"""The Open Inference Protocol over gRPC: KServe's service with this server's limits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.servicer import InferenceServicer

from serving.errors import Refused
from serving.metrics import LATENCY, REQUESTS
from serving.model.predictor import Predictor
from serving.protocols.open_inference import InferCall
from serving.protocols.request_body import BodyReader, whole_number

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
            except (ModelNotFound, ModelNotReady, InvalidInput) as error:
                missing = isinstance(error, ModelNotFound)
                code, message = CODES[404 if missing else 400], str(error)
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


class Service(InferenceServicer):
    """KServe's responses about the server and the model, and this server's inference."""

    def __init__(self, dataplane: DataPlane, predictor: Predictor, bodies: BodyReader, name: str) -> None:
        super().__init__(dataplane, None)
        self._predictor, self._bodies, self._name = predictor, bodies, name

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        """Runs an inference."""
        start = time.perf_counter()
        if request.model_name != self._name:
            raise Refused(404, f"there is no model {request.model_name!r}, only {self._name!r}")
        version = request.model_version
        number = whole_number(version)
        if version and number is None:
            raise Refused(404, "the version is no whole number")
        with self._bodies.hold(request.ByteSize()):
            call = await asyncio.to_thread(InferCall.from_grpc, request)
            answer = await self._predictor.run(call.to_grpc, number)
        LATENCY.labels("grpc").observe(time.perf_counter() - start)
        return answer

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        """Refuses the call: only the folder determines which version is served."""
        raise Refused(400, "versions are loaded from the folder alone")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        """Refuses the call: only the folder determines which version is served."""
        raise Refused(400, "versions are loaded from the folder alone")


def create_grpc_server(service: Service, address: str, max_body: int) -> tuple[grpc.aio.Server, int]:
    """Binds a server that does not serve yet; returns the server and its port, or raises OSError."""
    options = [
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # otherwise two servers could share one port unnoticed
    ]
    server = grpc.aio.server(interceptors=[Interceptor()], options=options, maximum_concurrent_rpcs=MAX_CALLS)
    add_GRPCInferenceServiceServicer_to_server(service, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise OSError(f"cannot listen on {address} for gRPC (--grpc-port)")
    return server, port
