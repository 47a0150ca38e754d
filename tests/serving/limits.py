"""What the tests of limits send, and how they look at the server meanwhile."""

from __future__ import annotations

import json
import socket

import numpy as np

from tests.serving.conftest import encoded, noise
from tests.serving.running import Server, b64

GOOD = encoded(noise(40, 60))
PREDICT = "/v1/models/unet:predict"
INFER = "/v2/models/unet/infer"
MEBIBYTE = 2**20
# Many small tiles: some kilobytes that keep the server busy until they are cancelled.
SLOW = json.dumps({"instances": [b64(encoded(np.zeros((6000, 6000), np.uint8)))]})


def gauge(server: Server, name: str) -> float:
    (line,) = (line for line in server.get("/metrics").splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def raw(server: Server, data: bytes) -> socket.socket:
    """A connection on which something was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    connection.sendall(data)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    with connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(length: int | None, path: str = PREDICT) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", size, "", ""]
    return "\r\n".join(lines).encode()
