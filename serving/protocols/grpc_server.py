"""The gRPC server: the Open Inference Protocol, which is KServe's service, and TensorFlow Serving's."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import logging
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from tensorflow_serving.apis.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from tensorflow_serving.apis.prediction_service_pb2_grpc import add_PredictionServiceServicer_to_server

from serving.errors import Refused, bad_request
from serving.metrics import LATENCY, REQUESTS
from serving.model.predictor import Predictor
from serving.protocols.client_address import client_of_peer
from serving.protocols.description import Description, version_in
from serving.protocols.json_values import BYTES_OF_A_VALUE
from serving.protocols.open_inference import InferCall
from serving.protocols.prediction_service import ModelService, PredictionService
from serving.protocols.request_body import BodyReader
from serving.protocols.wire import count_fields, parse_message

T = TypeVar("T")
log = logging.getLogger("serving")

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
MAX_CALLS, OWN_CALLS = 64, 32  # of all clients, and of one
STREAMS = 64  # calls of one connection, those that are refused included; more wait at the client
MAX_METADATA = 8192  # bytes of the header of a call: few bytes of HPACK can be many
# Messages that come in at once, of all and of one: gRPC takes them whole, so they are counted after that.
RECEIVING, OWN_RECEIVING = 8, 6
SHORT = 4096  # bytes of a message that takes no longer to count and parse than to hand to a thread
NO_MESSAGE = "the call has no message"
IDLE_SECONDS = 75  # after which a connection without calls is closed, as those of HTTP are


def _tells_news(record: logging.LogRecord) -> bool:
    """Whether a record of gRPC's is more than that a client went away while it was answered."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


logging.getLogger("grpc._cython.cygrpc").addFilter(_tells_news)


class Interceptor(grpc.aio.ServerInterceptor):
    """Receives and parses requests within the limits, turns exceptions into codes, and counts requests.

    gRPC would wait for a message without end, parse it in the event loop, and not tell how long an answer is
    unread. So each call is answered as if both sides streamed, which is the same to clients: its message is
    asked for here, with a time limit, comes as bytes, and is parsed where bodies are.
    """

    def __init__(self, bodies: BodyReader, receive_seconds: float) -> None:
        """Creates it.

        Args:
            bodies: counts the bytes in memory, and parses.
            receive_seconds: time that a client has to send its message.
        """
        self._bodies, self._seconds = bodies, receive_seconds
        self._places = asyncio.Semaphore(RECEIVING)
        self._own_places: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._calls: collections.Counter[str] = collections.Counter()

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], details: Any) -> Any:
        """Wraps the handler of a call; returns None for what is not offered."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return None

        async def answered(messages: Any, context: Any) -> Any:
            code, message = grpc.StatusCode.OK, ""
            try:
                client = client_of_peer(context.peer())
                with self._counted(client):
                    await self._answer(handler, context, client)
            except Refused as error:
                code, message = CODES[error.status], error.message
            except NotImplementedError:
                code, message = grpc.StatusCode.UNIMPLEMENTED, f"{details.method} is not offered"
            except (asyncio.CancelledError, grpc.aio.InternalError):  # the client went away while it read
                REQUESTS.labels("grpc", grpc.StatusCode.CANCELLED.name).inc()
                raise asyncio.CancelledError from None
            except Exception:
                log.exception("%s failed", details.method)
                code, message = grpc.StatusCode.INTERNAL, "internal error; the server's log says more"
            try:
                if code is not grpc.StatusCode.OK:
                    await context.abort(code, message)
            except grpc.aio.InternalError:  # the call is over: gRPC itself refuses messages beyond its limit
                too_large = message == NO_MESSAGE
                code = grpc.StatusCode.RESOURCE_EXHAUSTED if too_large else grpc.StatusCode.CANCELLED
                raise asyncio.CancelledError from None
            finally:
                REQUESTS.labels("grpc", code.name).inc()

        return grpc.stream_stream_rpc_method_handler(answered)

    @contextlib.contextmanager
    def _counted(self, client: str) -> Iterator[None]:
        """Counts a call of a client until the context ends; refuses it if there are too many."""
        if self._calls[client] >= OWN_CALLS:
            raise Refused(413, f"overloaded: {OWN_CALLS} calls of this client are in progress")
        self._calls[client] += 1
        try:
            yield
        finally:
            self._calls[client] -= 1
            if not self._calls[client]:
                del self._calls[client]

    async def _answer(self, handler: Any, context: Any, client: str) -> None:
        kind = handler.request_deserializer.__self__  # the class of the message, of which this is FromString
        data = await self._received(context, client)
        with self._bodies.hold(len(data), client):
            values = await self._parse(count_fields, data, kind.DESCRIPTOR)
            with self._bodies.hold(values * BYTES_OF_A_VALUE, client):
                request = await self._parse(parse_message, data, kind)
                del data  # what is in it was copied
                response = await handler.unary_unary(request, context)
        data = response.SerializeToString()
        del response, request
        with self._bodies.hold_response(len(data), client):
            await context.write(data)  # until the client has read it, but for the last part

    async def _parse(self, function: Callable[[bytes, Any], T], data: bytes, kind: Any) -> T:
        """Calls a function where bodies are parsed; at once for a short message, as those for health are."""
        if len(data) <= SHORT:
            return function(data, kind)
        return await self._bodies.parse(function, data, kind)

    async def _received(self, context: Any, client: str) -> bytes:
        """The message of a client, as bytes."""
        try:
            return await asyncio.wait_for(self._next(context, client), self._seconds)
        except asyncio.TimeoutError:
            raise Refused(408, f"the request did not arrive within {self._seconds:g} s") from None

    async def _next(self, context: Any, client: str) -> bytes:
        own = self._own_places.setdefault(client, asyncio.Semaphore(OWN_RECEIVING))
        async with own, self._places:
            data = await context.read()
        if not isinstance(data, bytes):
            raise bad_request(NO_MESSAGE)
        return data


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
        call = await self._bodies.parse(InferCall.from_grpc, request)
        answer = await self._predictor.run(call.to_grpc, call.pixels, number, client_of_peer(context.peer()))
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
    interceptor: Interceptor,
    address: str,
    max_body: int,
    max_connections: int,
    receive_seconds: float,
    request_seconds: float,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Binds a server that does not serve yet; returns the server and its port, or raises OSError.

    Args:
        inference: the service of the Open Inference Protocol.
        prediction: TensorFlow Serving's service of predictions.
        models: TensorFlow Serving's service of versions.
        interceptor: receives the requests of all three.
        address: host and port to listen on.
        max_body: limit for a message, in bytes.
        max_connections: number of connections at once; one more is closed.
        receive_seconds: time that a client has to send a message, and to read its answer.
        request_seconds: time between the two.
        credentials: certificate and key; None for no TLS.
    """
    options = [
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # otherwise two servers could share one port unnoticed
        ("grpc.max_allowed_incoming_connections", max_connections),
        # Of TLS, and of HTTP/2 after it: gRPC's default is two minutes, for which a place is taken.
        ("grpc.server_handshake_timeout_ms", int(receive_seconds * 1000)),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
        # After the first, clients connect again by themselves. Nothing else ends a call whose answer is not
        # read, which counts among those at once.
        ("grpc.max_connection_age_ms", int(receive_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", int((2 * receive_seconds + request_seconds) * 1000)),
        # Calls that are begun and taken back count, too, until they are dealt with.
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.absolute_max_metadata_size", MAX_METADATA),
    ]
    server = grpc.aio.server(interceptors=[interceptor], options=options, maximum_concurrent_rpcs=MAX_CALLS)
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
