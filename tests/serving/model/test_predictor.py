"""When a prediction may run, and when it is cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.limits import GOOD, PREDICT, SLOW, gauge, head, raw
from tests.serving.running import Server, b64, wait_for

pytestmark = pytest.mark.server


def test_a_prediction_that_takes_too_long_is_cancelled(strict: Server):
    status, _, answer = strict.request("POST", PREDICT, SLOW)
    assert (status, json.loads(answer)) == (504, {"error": "cancelled: the prediction took longer than 3 s"})
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0, strict)
    assert strict.mask(GOOD)


def test_only_when_the_queue_is_full_a_request_is_refused(strict: Server):
    with ThreadPoolExecutor(2) as pool:
        both = []
        for name in ("running", "waiting"):
            both.append(pool.submit(strict.request, "POST", PREDICT, SLOW))
            wait_for(lambda n=name: gauge(strict, f"serving_predictions_{n}") == 1, strict)
        status, headers, answer = strict.request("POST", PREDICT, json.dumps({"instances": [b64(GOOD)]}))
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(answer) == {"error": "overloaded: 1 predictions wait already"}
        # What needs no prediction is answered all the same, and what is wrong is told so at once.
        assert strict.get("/health/ready") == {"ready": True}
        assert strict.request("POST", PREDICT, "{")[0] == 400
        assert both[0].result()[0] == 504
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0, strict)
    assert strict.mask(GOOD)


def test_eight_clients_are_never_refused(server: Server, expected: Callable[[bytes, int], bytes]):
    images = [encoded(noise(60 + i, 50)) for i in range(8)]
    masks = [expected(image, 1) for image in images]

    def client(i: int) -> list[bool]:
        return [server.mask(images[(i + j) % 8]) == masks[(i + j) % 8] for j in range(10)]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(right) for right in pool.map(client, range(8)))


def test_clients_that_disconnect_stop_the_work_for_them(server: Server):
    body = SLOW.encode()
    connections = [raw(server, head(len(body)) + body) for _ in range(4)]
    wait_for(lambda: gauge(server, "serving_predictions_running") >= 2, server)
    for connection in connections:
        connection.close()
    # Far sooner than the minutes that the images would take.
    wait_for(lambda: gauge(server, "serving_predictions_running") == 0, server)
    assert gauge(server, "serving_predictions_waiting") == 0
    assert server.mask(GOOD)
