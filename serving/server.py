"""Assembles and runs the server, and stops it without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import uvicorn
from starlette.types import ASGIApp

from serving.app import Addresses, create_app, create_metrics_app
from serving.listener import REFUSED, WATCHERS, Listener, most_connections
from serving.memory import Releaser
from serving.model.loaded import LoadedModel
from serving.model.predictor import Predictor
from serving.model.turns import Turns
from serving.model.versions import Versions
from serving.protocols.description import Description
from serving.protocols.grpc_server import Interceptor, Service, create_grpc_server
from serving.protocols.http_limits import protocol_class
from serving.protocols.prediction_service import ModelService, PredictionService
from serving.protocols.request_body import BodyReader
from serving.settings import Settings
from serving.tls import grpc_credentials

BACKLOG = 2048  # connections that wait to be accepted; uvicorn's default
log = logging.getLogger("serving")

KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that none is closed while in use
SECONDS_TO_CANCEL = 10.0


class HttpServer(uvicorn.Server):
    """Uvicorn's server without its signal handlers: `serve` handles signals for both protocols."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no signal handlers."""
        yield


def _http_server(settings: Settings, app: ASGIApp, connections: int, tls: bool) -> HttpServer:
    return HttpServer(
        uvicorn.Config(
            app,
            http=protocol_class(settings.receive_seconds, connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=settings.access_log,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ssl_certfile=settings.tls_certificate if tls else None,
            ssl_keyfile=settings.tls_key if tls else None,
            ssl_ciphers="",  # Python's; uvicorn's are those of TLS 1.0, which clients of TLS 1.2 may refuse
        )
    )


async def serve(settings: Settings, listener: Listener, watched: Listener | None = None) -> None:
    """Serves until a signal stops it.

    Args:
        settings: the settings of the server.
        listener: socket bound to the HTTP port.
        watched: socket bound to the port for metrics and health; None if there is no such port.
    """
    if settings.threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    turns = Turns()

    def load(folder: Path) -> LoadedModel:
        with turns.only_small():
            return LoadedModel(folder, settings.max_pixels, settings.signatures)

    gc.freeze()  # what is imported stays, so the collector need not look at it again
    releaser = Releaser()
    versions = Versions(settings.model_dir, settings.poll_seconds, load)
    predictor = Predictor(
        versions,
        settings.concurrent,
        settings.queue,
        settings.request_seconds,
        settings.max_pixels,
        releaser,
        turns,
    )
    bodies = BodyReader(settings.max_body, settings.max_bodies, releaser)
    description = Description(settings.name, versions)
    addresses = Addresses(settings.name, description, versions, predictor, bodies)
    hosts, tls = settings.known_hosts, bool(settings.tls_certificate)
    connections = most_connections()
    listener.most = connections + REFUSED
    http = _http_server(settings, create_app(addresses, hosts, watched is None), connections, tls)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    grpc, grpc_port = create_grpc_server(
        Service(description, predictor, bodies),
        PredictionService(settings.name, versions, predictor, bodies),
        ModelService(settings.name, versions),
        Interceptor(bodies, settings.receive_seconds),
        f"{host}:{settings.grpc_port}",
        settings.max_body,
        connections,
        settings.receive_seconds,
        settings.request_seconds,
        grpc_credentials(settings.tls_certificate, settings.tls_key) if tls else None,
    )

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(number, stop.set)
    await grpc.start()
    versions.start()
    serving = asyncio.create_task(http.serve([listener]))
    # The printed address must accept connections: clients wait until uvicorn starts a moment later.
    listener.listen(BACKLOG)
    if watched:
        watched.most = WATCHERS + REFUSED
        watcher = _http_server(settings, create_metrics_app(addresses, hosts), WATCHERS, tls=False)
        watching = asyncio.create_task(watcher.serve([watched]))
        watched.listen(BACKLOG)
        log.info("metrics and health: http://%s:%d", host, watched.getsockname()[1])
    log.info(
        "%s from %s: %s://%s:%d and gRPC on port %d",
        settings.name, settings.model_dir, "https" if tls else "http", host, listener.getsockname()[1],
        grpc_port,
    )  # fmt: skip
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)

    description.stopping = True
    if settings.drain_seconds and not serving.done():
        log.info("not ready any more; new requests are answered for %g s", settings.drain_seconds)
        await asyncio.wait({serving}, timeout=settings.drain_seconds)
    log.info("stopping: waiting up to %g s for requests that are running", settings.grace_seconds)
    versions.stop()
    http.should_exit = True
    finished = asyncio.gather(serving, grpc.stop(settings.grace_seconds))
    done, _ = await asyncio.wait({finished}, timeout=settings.grace_seconds)
    if not done:
        log.warning("requests that are still running are cancelled")
        predictor.cancel_all()
        # Time for the operations at work to end, and to tell their clients.
        done, _ = await asyncio.wait({finished}, timeout=SECONDS_TO_CANCEL)
        if not done:
            http.force_exit = True
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(finished, 5)
    if watched:  # until now, so that it tells how the server stops
        watcher.should_exit = True
        await asyncio.wait({watching}, timeout=5)
    log.info("stopped")
