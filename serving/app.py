"""The HTTP routes of the server, and its error responses."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from kserve import ModelRepository
from kserve.errors import ModelNotFound, ModelNotReady, ServerNotReady
from kserve.model import BaseKServeModel
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from prometheus_client import REGISTRY, exposition
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import Refused
from serving.metrics import LATENCY, REQUESTS
from serving.model.predictor import Predictor
from serving.model.versions import Versions
from serving.protocols.open_inference import HEADER_LENGTH, InferCall
from serving.protocols.request_body import DIGITS, BodyReader, require_json, while_connected
from serving.protocols.rest_v1 import PredictRequest

log = logging.getLogger("serving")

PAGE = Path(__file__).parent / "page"
PAGE_TYPES = {"": "index.html", "page.css": "page.css", "page.js": "page.js"}
# The page loads nothing from other hosts, and other sites must not load the page.
PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
JSON = {"content-type": "application/json"}


class Digits(IntegerConvertor):
    """The version in an address: a number that Python reads."""

    regex = DIGITS


register_url_convertor("digits", Digits())


class Addresses:
    """The handlers of all routes."""

    def __init__(self, name: str, versions: Versions, predictor: Predictor, bodies: BodyReader) -> None:
        self._name, self._versions, self._predictor, self._bodies = name, versions, predictor, bodies
        self.stopping = False

    async def status(self, model: str) -> dict[str, Any]:
        """Returns the versions of the model and their states in TensorFlow Serving's format."""
        self._check_name(model)
        return {"model_version_status": self._versions.status()}

    async def version_status(self, model: str, version: int) -> dict[str, Any]:
        """Returns the state of one version."""
        self._check_name(model)
        states = [state for state in self._versions.status() if state["version"] == str(version)]
        if not states:
            raise Refused(404, f"there is no version {version} of {model!r}")
        return {"model_version_status": states}

    async def predict(self, request: Request, model: str, version: int | None = None) -> Response:
        """Handles TensorFlow Serving's predict call."""
        self._check_name(model)
        require_json(request)
        async with self._bodies.read(request) as body:
            start = time.perf_counter()
            call = await asyncio.to_thread(PredictRequest.parse, body)
            answer = await while_connected(request, self._predictor.run(call.answer, version))
        LATENCY.labels("rest").observe(time.perf_counter() - start)
        return Response(answer, headers=JSON)

    async def infer(self, request: Request, model: str, version: int | None = None) -> Response:
        """Handles the Open Inference Protocol's infer call."""
        self._check_name(model)
        header_length = request.headers.get(HEADER_LENGTH)
        if header_length is None:  # otherwise the body is binary, and this header already stops other sites
            require_json(request)
        async with self._bodies.read(request) as body:
            start = time.perf_counter()
            call = await asyncio.to_thread(InferCall.from_rest, model, body, header_length)
            answer, headers = await while_connected(request, self._predictor.run(call.to_rest, version))
        LATENCY.labels("rest").observe(time.perf_counter() - start)
        return Response(answer, headers=headers)

    async def ready(self) -> dict[str, bool]:
        """Returns 200 once a version is loaded, and 503 before that and while the server stops."""
        if self.stopping or self._versions.version is None:
            raise Refused(503, "stopping" if self.stopping else "no version is loaded yet", retry_after=2)
        return {"ready": True}

    async def metrics(self, request: Request) -> Response:
        """Returns all metrics in the format of Prometheus."""
        encoder, content_type = exposition.choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(REGISTRY), headers={"content-type": content_type})

    async def page(self, file: str = "") -> Response:
        """Returns the page on which users can try the model."""
        if file not in PAGE_TYPES:
            raise Refused(404, "there is nothing at this address")
        name = PAGE_TYPES[file]
        text = (PAGE / name).read_text(encoding="utf-8")
        if name == "index.html":
            text = text.replace('content="MODEL"', f"content={json.dumps(self._name)}")
        kind = {"html": "html", "css": "css", "js": "javascript"}[name.rpartition(".")[2]]
        return Response(text, headers=PAGE_HEADERS, media_type=f"text/{kind}")

    def _check_name(self, model: str) -> None:
        if model != self._name:
            raise Refused(404, f"there is no model {model!r}, only {self._name!r}")


def create_app(name: str, addresses: Addresses, dataplane: DataPlane) -> ASGIApp:
    """Creates the application: this server's routes, and KServe's informational routes of the V2 protocol."""
    app = FastAPI(openapi_url=None)
    v2 = V2Endpoints(dataplane, None)
    one = "/v2/models/{model_name}"
    for path, endpoint in {
        "/v1/models/{model}": addresses.status,
        "/v1/models/{model}/versions/{version:digits}": addresses.version_status,
        "/health/ready": addresses.ready,
        "/v2/health/ready": addresses.ready,
        "/health/live": v2.live,
        "/v2/health/live": v2.live,
        "/v2": v2.metadata,
        "/v2/models": v2.models,
        one: v2.model_metadata,
        f"{one}/ready": v2.model_ready,
        "/metrics": addresses.metrics,
        "/": addresses.page,
        "/{file}": addresses.page,
    }.items():
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    for path, endpoint in {
        "/v1/models/{model}:predict": addresses.predict,
        "/v1/models/{model}/versions/{version:digits}:predict": addresses.predict,
        "/v2/models/{model}/infer": addresses.infer,
        "/v2/models/{model}/versions/{version:digits}/infer": addresses.infer,
    }.items():
        app.add_api_route(path, endpoint, methods=["POST"], response_model=None)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        retry = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return _error(error.status, error.message, retry)

    async def of_kserve(request: Request, error: Exception) -> Response:
        return _error(404 if isinstance(error, ModelNotFound) else 503, str(error), {})

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {
            404: f"there is nothing at {request.url.path}",
            405: f"{request.method} is not answered at {request.url.path}",
        }
        return _error(error.status_code, said.get(error.status_code, error.detail), dict(error.headers or {}))

    async def unexpected(request: Request, error: Exception) -> Response:
        return _error(500, "internal error; the server's log says more", {})

    async def nobody_left(request: Request, error: Exception) -> Response:
        return _error(499, "the client has gone", {})

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(ClientDisconnect, nobody_left)
    for kind in (ModelNotFound, ModelNotReady, ServerNotReady):
        app.add_exception_handler(kind, of_kserve)
    app.add_exception_handler(Exception, unexpected)
    return _counted(app)


def create_dataplane(model: BaseKServeModel) -> DataPlane:
    """Creates the source of KServe's own responses."""
    repository = ModelRepository()
    repository.update(model)
    return DataPlane(repository)


def _error(status: int, message: str, headers: dict[str, str]) -> Response:
    return Response(json.dumps({"error": message}), status, {**JSON, **headers})


def _counted(app: ASGIApp) -> ASGIApp:
    """Counts the responses by status."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                REQUESTS.labels("rest", str(message["status"])).inc()
            await send(message)

        await app(scope, receive, sent)

    return counting
