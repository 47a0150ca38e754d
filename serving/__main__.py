"""`python -m serving`: the command line of the server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

from serving.settings import parse


def main() -> int:
    """Serves until it is told to stop; exits with 0 then, 1 if it cannot start, 2 for wrong arguments."""
    settings = parse()
    # TensorFlow reads both once, when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        listener = listen(settings.host, settings.http_port, "--http-port")
        listen(settings.host, settings.grpc_port, "--grpc-port").close()  # gRPC binds its port itself, later
        print("serving: starting, which takes some seconds ...", file=sys.stderr, flush=True)
        from serving.server import serve  # the seconds, which a mistake need not cost

        asyncio.run(serve(settings, listener))
    except OSError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    # A version that is being loaded, or a prediction that will not be cancelled, would hold up or crash the
    # end of the interpreter; all that is left to do here is to be gone.
    logging.shutdown()
    os._exit(0)


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A socket that is bound.

    Args:
        host: name or address.
        port: 0 takes a free one.
        flag: of the command line, that chooses another port.

    Raises:
        OSError: with a sentence, if that cannot be.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror} (--host, {flag})") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
