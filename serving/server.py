"""Assembles and runs the server, and stops it without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
from collections.abc import Iterator

import tensorflow as tf
import uvicorn

from serving.app import Addresses, create_app, create_dataplane
from serving.model.loaded import LoadedModel
from serving.model.predictor import Predictor
from serving.model.versions import Versions
from serving.protocols.grpc_server import Service, create_grpc_server
from serving.protocols.http_limits import protocol_class
from serving.protocols.kserve_model import VersionedModel
from serving.protocols.request_body import BodyReader
from serving.settings import Settings

BACKLOG = 2048  # connections that wait to be accepted; uvicorn's default
log = logging.getLogger("serving")

KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that none is closed while in use
MAX_CONNECTIONS = 512


class HttpServer(uvicorn.Server):
    """Uvicorn's server without its signal handlers: `serve` handles signals for both protocols."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no signal handlers."""
        yield


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serves until a signal stops it.

    Args:
        settings: the settings of the server.
        listener: socket bound to the HTTP port.
    """
    if settings.threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    load = functools.partial(LoadedModel, max_pixels=settings.max_megapixels * 10**6)
    versions = Versions(settings.model_dir, settings.poll_seconds, load)
    predictor = Predictor(versions, settings.concurrent, settings.queue, settings.request_seconds)
    bodies = BodyReader(settings.max_body, settings.max_bodies)
    addresses = Addresses(settings.name, versions, predictor, bodies)
    dataplane = create_dataplane(VersionedModel(settings.name, versions))
    http = HttpServer(
        uvicorn.Config(
            create_app(settings.name, addresses, dataplane),
            http=protocol_class(settings.receive_seconds),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=settings.access_log,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            limit_concurrency=MAX_CONNECTIONS,
        )
    )
    service = Service(dataplane, predictor, bodies, settings.name)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    grpc, grpc_port = create_grpc_server(service, f"{host}:{settings.grpc_port}", settings.max_body)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await grpc.start()
    versions.start()
    serving = asyncio.create_task(http.serve([listener]))
    # The printed address must accept connections: clients wait until uvicorn starts a moment later.
    listener.listen(BACKLOG)
    log.info(
        "%s from %s: http://%s:%d and gRPC on port %d",
        settings.name, settings.model_dir, host, listener.getsockname()[1], grpc_port,
    )  # fmt: skip
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)

    log.info("stopping: waiting up to %g s for requests that are running", settings.grace_seconds)
    addresses.stopping = True
    versions.stop()
    http.should_exit = True
    finished = asyncio.gather(serving, grpc.stop(settings.grace_seconds))
    done, _ = await asyncio.wait({finished}, timeout=settings.grace_seconds)
    if not done:
        log.warning("requests that are still running are cancelled")
        predictor.cancel_all()
        http.force_exit = True
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(finished, 5)
    log.info("stopped")
