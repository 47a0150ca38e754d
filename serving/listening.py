"""The addresses that the server listens on, tried before anything that takes time."""

from __future__ import annotations

import socket


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
