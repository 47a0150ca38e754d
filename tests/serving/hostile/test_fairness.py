"""No client keeps others out: what one address may take of everything leaves something to others."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.serving.limits import GOOD, MEBIBYTE, PREDICT, gauge, head, raw
from tests.serving.running import JSON, PATIENCE, Server, b64, wait_for

pytestmark = pytest.mark.server

SMALL = json.dumps({"instances": [b64(GOOD)]})
OTHER = "127.0.0.2"  # another address of this machine, which is another client


def asked(server: Server) -> int:
    """The status of what another client gets for a small image."""
    address = (OTHER, 0)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, PATIENCE, address)) as connection:
        connection.request("POST", PREDICT, SMALL, JSON)
        return connection.getresponse().status


def test_another_client_is_answered_while_one_fills_the_queue(server: Server):
    done, refused = threading.Event(), threading.Event()

    def flood() -> None:
        while not done.is_set():
            if server.request("POST", PREDICT, SMALL)[0] == 503:
                refused.set()

    with ThreadPoolExecutor(90) as pool:
        for _ in range(90):
            pool.submit(flood)
        try:
            assert refused.wait(PATIENCE)  # the queue is full
            assert [asked(server) for _ in range(10)] == [200] * 10
        finally:
            done.set()


def test_another_client_is_answered_while_one_holds_all_memory_for_bodies(server: Server):
    size = 64 * MEBIBYTE
    with ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(raw(server, head(size) + bytes(size - 1)))
        wait_for(lambda: gauge(server, "serving_request_body_bytes") == 8 * (size - 1), server)
        assert server.request("POST", PREDICT, SMALL)[0] == 503
        assert asked(server) == 200
    wait_for(lambda: gauge(server, "serving_request_body_bytes") == 0, server)
