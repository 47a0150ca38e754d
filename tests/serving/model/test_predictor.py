"""When a prediction may run, and when it is cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.model.predictor import Admission
from serving.model.turns import Work
from tests.serving.conftest import encoded, noise
from tests.serving.limits import GOOD, PREDICT, SLOW, gauge, head, raw
from tests.serving.running import Server, b64, wait_for

pytestmark = pytest.mark.server
MEGAPIXEL = 1 << 20


def test_a_prediction_that_takes_too_long_is_cancelled(strict: Server):
    status, _, answer = strict.request("POST", PREDICT, SLOW)
    assert (status, json.loads(answer)) == (504, {"error": "cancelled: the prediction took longer than 3 s"})
    # The only place is free: the next one has its time limit, too, and does not wait.
    assert strict.mask(GOOD)
    assert gauge(strict, "serving_predictions_running") == 0


def test_small_images_are_answered_while_large_ones_go_on(server: Server):
    body = SLOW.encode()
    connections = [raw(server, head(len(body)) + body) for _ in range(6)]
    wait_for(lambda: gauge(server, "serving_predictions_waiting") == 5, server)
    for _ in range(5):
        assert server.mask(GOOD)
    assert gauge(server, "serving_predictions_running") == 1
    assert gauge(server, "serving_predictions_waiting") == 5
    for connection in connections:
        connection.close()
    wait_for(lambda: gauge(server, "serving_predictions_running") == 0, server)
    assert gauge(server, "serving_predictions_waiting") == 0


def let_in(admission: Admission) -> list[int]:
    found = []
    while work := admission.next():
        found.append(work.pixels // MEGAPIXEL)
    return found


def test_large_ones_leave_a_place_and_have_the_pixels_of_one_together():
    admission = Admission(4, 64 * MEGAPIXEL)
    for millions in (40, 20, 30, 1, 1):
        admission.waiting.add(Work(millions * MEGAPIXEL))
    assert let_in(admission) == [1, 1, 20, 30]  # the first two are small, the others together below 64

    admission = Admission(4, 64 * MEGAPIXEL)
    works = [Work(n * MEGAPIXEL) for n in (4, 4, 4, 4, 64)]
    for work in works:
        admission.waiting.add(work)
    assert let_in(admission) == [4, 4, 4]  # the last place is for a small one
    admission.waiting.add(Work(1))
    assert let_in(admission) == [0]
    admission.leave(works[0])
    assert let_in(admission) == [4]


def test_the_largest_is_let_in_once_three_times_its_work_went_before_it():
    admission = Admission(2, 64 * MEGAPIXEL)
    admission.waiting.add(Work(64 * MEGAPIXEL))
    seen = []
    while 64 not in seen:
        admission.waiting.add(work := Work(32 * MEGAPIXEL))
        seen += let_in(admission)
        if 64 not in seen:
            admission.leave(work)
    assert seen == [32] * 6 + [64]


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
    wait_for(lambda: gauge(server, "serving_predictions_waiting") == 3, server)
    for connection in connections:
        connection.close()
    # Far sooner than the minutes that the images would take.
    wait_for(lambda: gauge(server, "serving_predictions_running") == 0, server)
    assert gauge(server, "serving_predictions_waiting") == 0
    assert server.mask(GOOD)
