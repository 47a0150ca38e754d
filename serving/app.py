"""The HTTP routes of the server, and its error responses."""

from __future__ import annotations

import functools
import html
import json
import logging
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import REGISTRY, exposition
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import NO_LABELS, Refused, require_model
from serving.metrics import LATENCY, REQUESTS
from serving.model.predictor import Predictor
from serving.model.versions import Versions
from serving.protocols.client_address import client_of_scope
from serving.protocols.description import Description, wants_ready
from serving.protocols.http_limits import REFUSED
from serving.protocols.json_values import parse_json
from serving.protocols.open_inference import HEADER_LENGTH, InferCall
from serving.protocols.request_body import (
    DIGITS,
    BodyReader,
    HeldResponse,
    require_json,
    while_connected,
    whole_number,
)
from serving.protocols.rest_v1 import PredictRequest, metadata

log = logging.getLogger("serving")

PAGE, INDEX = Path(__file__).parent / "page", "index.html"
PAGE_TYPES = {".html": "html", ".css": "css", ".js": "javascript"}  # the rest of `text/`, by the suffix
PAGE_FILES = {path.name: path for path in PAGE.iterdir() if path.suffix in PAGE_TYPES}
# The page loads nothing from other hosts and runs nothing but its own files; its icon is an empty `data:`.
# Other sites must not load the page.
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
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

    def __init__(
        self,
        name: str,
        description: Description,
        versions: Versions,
        predictor: Predictor,
        bodies: BodyReader,
    ) -> None:
        self._name, self._description, self._versions = name, description, versions
        self._predictor, self._bodies = predictor, bodies

    async def status(self, model: str) -> dict[str, Any]:
        """Returns the versions of the model and their states in TensorFlow Serving's format, and KServe's."""
        require_model(model, self._name)
        ready = {"name": model, "ready": self._versions.version is not None}
        return {"model_version_status": self._versions.status(), **ready}

    async def version_status(self, model: str, version: int) -> dict[str, Any]:
        """Returns the state of one version."""
        require_model(model, self._name)
        return {"model_version_status": self._versions.status(version)}

    async def metadata(self, model: str, version: int | None = None) -> dict[str, Any]:
        """Returns the signatures of the served version in TensorFlow Serving's format."""
        require_model(model, self._name)
        with self._versions.current(version) as loaded:
            return metadata(model, loaded)

    async def classes(self, model: str) -> dict[str, Any]:
        """Returns the served version and what its card tells of its classes."""
        require_model(model, self._name)
        with self._versions.current() as loaded:
            return {"version": str(loaded.version), "classes": loaded.classes}

    async def labels(self, model: str) -> Response:
        """Refuses the call: there are no labels."""
        require_model(model, self._name)
        raise Refused(404, NO_LABELS)

    async def predict(self, request: Request, model: str, version: int | None = None) -> Response:
        """Handles TensorFlow Serving's predict call."""
        require_model(model, self._name)
        require_json(request)
        async with self._bodies.read(request, PredictRequest.parse) as call:
            start = time.perf_counter()
            answer = await while_connected(
                request,
                self._predictor.run(call.answer, call.pixels, version, client_of_scope(request.scope)),
            )
        LATENCY.labels("rest").observe(time.perf_counter() - start)
        return HeldResponse(answer, JSON, self._bodies)

    async def infer(self, request: Request, model: str, version: int | None = None) -> Response:
        """Handles the Open Inference Protocol's infer call."""
        require_model(model, self._name)
        header_length = request.headers.get(HEADER_LENGTH)
        if header_length is None:  # otherwise the body is binary, and this header already stops other sites
            require_json(request)
        parse = functools.partial(InferCall.from_rest, model, header_length=header_length)
        length = None if header_length is None else whole_number(header_length)
        async with self._bodies.read(request, parse, length) as call:
            start = time.perf_counter()
            answer, headers = await while_connected(
                request,
                self._predictor.run(call.to_rest, call.pixels, version, client_of_scope(request.scope)),
            )
        LATENCY.labels("rest").observe(time.perf_counter() - start)
        return HeldResponse(answer, headers, self._bodies)

    async def ready(self) -> dict[str, bool]:
        """Returns 200 once a version is loaded, and 503 before that and while the server stops."""
        self._description.require_ready()
        return {"ready": True}

    async def live(self) -> dict[str, bool]:
        """Returns 200."""
        return {"live": True}

    async def server(self) -> dict[str, Any]:
        """Returns name and extensions of the server."""
        return self._description.server()

    async def models(self) -> dict[str, list[str]]:
        """Returns the name of the model."""
        return {"models": [self._name]}

    async def index(self, request: Request) -> Response:
        """Returns the versions and their states in Triton's format."""
        if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
            ready = False
        else:
            require_json(request)
            async with self._bodies.read(request, parse_json) as content:
                ready = wants_ready(content)
        return Response(json.dumps(self._description.index(ready)), headers=JSON)

    async def model(self, model: str, version: int | None = None) -> dict[str, Any]:
        """Returns version, inputs and outputs of the model."""
        return self._description.model(model, version)

    async def model_ready(self, model: str, version: int | None = None) -> dict[str, Any]:
        """Returns 200 if the version, or any, is served."""
        self._description.require_served(model, version)
        return {"name": model, "ready": True}

    async def metrics(self, request: Request) -> Response:
        """Returns all metrics in the format of Prometheus."""
        encoder, content_type = exposition.choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(REGISTRY), headers={"content-type": content_type})

    async def root(self, request: Request) -> Response:
        """Returns the page to browsers, and to others what clients of KServe V1 ask here: that it lives."""
        if "text/html" in request.headers.get("accept", ""):
            return await self.page()
        return Response(json.dumps({"status": "alive"}), headers=JSON)

    async def page(self, file: str = "") -> Response:
        """Returns the page on which users can try the model."""
        path = PAGE_FILES.get(file or INDEX)
        if path is None:
            raise Refused(404, "there is nothing at this address")
        text = path.read_text(encoding="utf-8")
        if path.name == INDEX:
            text = text.replace('content="MODEL"', f'content="{html.escape(self._name)}"')
        return Response(text, headers=PAGE_HEADERS, media_type=f"text/{PAGE_TYPES[path.suffix]}")


def create_metrics_app(addresses: Addresses, hosts: Collection[str]) -> ASGIApp:
    """Creates the application of the port for metrics and health.

    Args:
        addresses: handlers of the routes.
        hosts: names in the Host header that are answered; empty for all.
    """
    app = FastAPI(openapi_url=None)
    for path, endpoint in {**_health(addresses), "/metrics": addresses.metrics}.items():
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    return _guarded(app, hosts)


def _health(addresses: Addresses) -> dict[str, Callable[..., Any]]:
    return {
        "/health/ready": addresses.ready,
        "/v2/health/ready": addresses.ready,
        "/health/live": addresses.live,
        "/v2/health/live": addresses.live,
    }


def create_app(addresses: Addresses, hosts: Collection[str], metrics: bool = True) -> ASGIApp:
    """Creates the application.

    Args:
        addresses: handlers of the routes.
        hosts: names in the Host header that are answered; empty for all.
        metrics: whether the metrics are among the routes.
    """
    app = FastAPI(openapi_url=None)
    one = "/v2/models/{model}"
    version = f"{one}/versions/{{version:digits}}"
    for path, endpoint in {
        "/v1/models/{model}": addresses.status,
        "/v1/models/{model}/versions/{version:digits}": addresses.version_status,
        "/v1/models/{model}/metadata": addresses.metadata,
        "/v1/models/{model}/classes": addresses.classes,
        "/v1/models/{model}/versions/{version:digits}/metadata": addresses.metadata,
        **_health(addresses),
        "/v2": addresses.server,
        "/v2/models": addresses.models,
        one: addresses.model,
        f"{one}/ready": addresses.model_ready,
        version: addresses.model,
        f"{version}/ready": addresses.model_ready,
        **({"/metrics": addresses.metrics} if metrics else {}),
        "/": addresses.root,
        "/{file}": addresses.page,
    }.items():
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    for path, endpoint in {
        "/v1/models/{model}:predict": addresses.predict,
        "/v1/models/{model}/versions/{version:digits}:predict": addresses.predict,
        f"{one}/infer": addresses.infer,
        f"{version}/infer": addresses.infer,
        "/v2/repository/index": addresses.index,
    }.items():
        app.add_api_route(path, endpoint, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models/{model}/labels/{label:path}", addresses.labels, methods=["GET", "POST"])
    return _guarded(app, hosts)


def _guarded(app: FastAPI, hosts: Collection[str]) -> ASGIApp:
    """Adds the error responses, the check of the Host header and the count of responses."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        retry = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return _error(error.status, error.message, retry)

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
    app.add_exception_handler(Exception, unexpected)
    return _counted(_of_known_hosts(app, hosts) if hosts else app)


def _error(status: int, message: str, headers: dict[str, str]) -> Response:
    return Response(json.dumps({"error": message}), status, {**JSON, **headers})


def _of_known_hosts(app: ASGIApp, hosts: Collection[str]) -> ASGIApp:
    """Refuses requests that name another host."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        named = Headers(scope=scope).get("host", "")
        if named and re.sub(r":\d*$", "", named).lower() not in hosts:
            message = (
                f"this server is not {named[:100]!r}: --host-names adds the names that a proxy passes on"
            )
            await _error(421, message, {})(scope, receive, send)
        else:
            await app(scope, receive, send)

    return checked


def _counted(app: ASGIApp) -> ASGIApp:
    """Counts the responses by status."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and REFUSED not in scope:
                REQUESTS.labels("rest", str(message["status"])).inc()
            await send(message)

        await app(scope, receive, sent)

    return counting
