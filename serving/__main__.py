"""`python -m serving`: the command line of the server."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys

from serving import imports
from serving.listener import Listener
from serving.settings import parse
from serving.tls import tls_warnings


def main() -> int:
    """Serves until a signal stops it, then returns 0; 1 if it cannot start, 2 for wrong arguments."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it once, at its import
    # A line for each thing that a stranger gets wrong; gRPC reads it when `parse` tries a certificate.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    settings = parse()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # else a line for each bad request
    for sentence in tls_warnings(settings.tls_certificate, settings.tls_key):
        logging.getLogger("serving").warning(sentence)
    try:
        listener = listen(settings.host, settings.http_port, "--http-port")
        watched = (
            listen(settings.host, settings.metrics_port, "--metrics-port") if settings.metrics_port else None
        )
        listen(settings.host, settings.grpc_port, "--grpc-port").close()  # a check: gRPC binds it later
        print("serving: starting, which takes some seconds ...", file=sys.stderr, flush=True)
        imports.leave_out()
        gc.disable()  # what is imported stays: Python need not look through it again and again as it grows
        from serving.server import serve  # takes seconds, so only after all checks

        gc.enable()
        asyncio.run(serve(settings, listener, watched))
    except OSError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    # Loading a version, or a prediction that cannot be cancelled, would block or crash the end of the
    # interpreter; so the process exits at once.
    logging.shutdown()
    os._exit(0)


def listen(host: str, port: int, flag: str) -> Listener:
    """Binds a socket.

    Args:
        host: name or address of the host.
        port: port number; 0 chooses a free port.
        flag: command-line option for another port, named in the error message.

    Raises:
        OSError: the address cannot be bound; the message is a sentence.
    """
    listener = Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror} (--host, {flag})") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
