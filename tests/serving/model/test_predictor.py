"""When a prediction may run, and when it is cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.model.predictor import Admission, Pace
from serving.model.turns import Work
from tests.serving.conftest import encoded, noise
from tests.serving.limits import GOOD, PREDICT, SLOW, gauge, head, raw
from tests.serving.running import PYTHON, Server, answers, b64, wait_for

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
    # The others wait, or are refused where the server knows already how long these take.
    wait_for(lambda: gauge(server, "serving_predictions_running") == 1, server)
    for _ in range(5):
        assert server.mask(GOOD)
    assert gauge(server, "serving_predictions_running") == 1
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
        admission.add(Work(millions * MEGAPIXEL))
    assert let_in(admission) == [1, 1, 20, 30]  # the first two are small, the others together below 64

    admission = Admission(4, 64 * MEGAPIXEL)
    works = [Work(n * MEGAPIXEL) for n in (4, 4, 4, 4, 64)]
    for work in works:
        admission.add(work)
    assert let_in(admission) == [4, 4, 4]  # the last place is for a small one
    admission.add(Work(1))
    assert let_in(admission) == [0]
    admission.leave(works[0])
    assert let_in(admission) == [4]


def test_the_largest_is_let_in_once_three_times_its_work_went_before_it():
    admission = Admission(2, 64 * MEGAPIXEL)
    admission.add(Work(64 * MEGAPIXEL))
    seen = []
    while 64 not in seen:
        admission.add(work := Work(32 * MEGAPIXEL))
        seen += let_in(admission)
        if 64 not in seen:
            admission.leave(work)
    assert seen == [32] * 6 + [64]


def test_the_pace_is_that_of_large_requests_while_there_are_any():
    pace = Pace()
    assert pace.seconds(10**6) == 0  # nothing is known
    pace.begin(100)
    pace.begin(101)  # beside the first
    pace.end(104, 8 * 10**6, others=True)
    pace.end(108, 8 * 10**6, others=False)
    assert pace.seconds(10**6) == pytest.approx(0.5, rel=0.05)
    pace.begin(1000)  # the time between them is nobody's
    pace.end(1004, 8 * 10**6, others=False)
    assert pace.seconds(10**6) == pytest.approx(0.5, rel=0.05)
    for second in range(2000, 2100):
        pace.begin(second)
        pace.end(second + 0.5, 0, others=False)  # clients that go away
    assert pace.seconds(10**6) == pytest.approx(0.5, rel=0.05)
    pace.begin(3000)
    pace.end(3300, 10**6, others=False)  # a machine that is busy now
    assert pace.seconds(10**6) > 100


def test_large_requests_that_are_done_before_a_new_one_are_counted():
    admission = Admission(3, 64 * MEGAPIXEL)

    def before(millions: int) -> int:
        return admission.large_before(Work(millions * MEGAPIXEL)) // MEGAPIXEL

    for millions in (10, 1, 20, 40):
        admission.add(Work(millions * MEGAPIXEL))
    assert [before(millions) for millions in (5, 10, 20, 64)] == [0, 10, 30, 70]
    assert let_in(admission) == [1, 10, 20]
    assert before(5) == 30  # the places for large ones are taken
    admission._inside[1].remaining -= 4 * MEGAPIXEL
    assert before(5) == 26
    admission.leave(admission._inside[2])
    assert [before(millions) for millions in (5, 6, 60)] == [0, 6, 46]


def test_one_image_of_the_most_that_leaves_room_stops_no_smaller_one():
    admission = Admission(4, 64 * MEGAPIXEL)
    admission.add(Work(60 * MEGAPIXEL))
    assert let_in(admission) == [60]
    assert admission.large_before(Work(2 * MEGAPIXEL)) == 0
    assert admission.large_before(Work(5 * MEGAPIXEL)) == 60 * MEGAPIXEL


# Two large requests of ten seconds each beside each other, and a third one; then a small one.
CROWDED = """
import asyncio, json
from serving.errors import Refused
from serving.memory import Releaser
from serving.model import predictor
from serving.model.turns import Turns

class Nothing:
    pass

async def main():
    found = predictor.Predictor(Nothing(), 4, 64, 10.0, 10**9, Releaser(), Turns())
    found._call = lambda job, version, work: job(work)
    said = []

    def done(work):
        work.remaining = 0
        return "done"

    said.append(await found.run(done, 10**7))
    found._pace._pixels, found._pace._seconds = 10**7, 4.0  # what the first one took
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(work):
        asyncio.run_coroutine_threadsafe(ended.wait(), loop).result()
        return done(work)

    begun = []
    for _ in range(3):
        begun.append(asyncio.ensure_future(found.run(slow, 10**7)))
        await asyncio.sleep(0.05)
    said.append(await found.run(done, 1000))
    ended.set()
    for one in begun:
        try:
            said.append(await one)
        except Refused as error:
            said.append([error.status, error.message, error.retry_after])
    said.append(await found.run(done, 10**7))
    print(json.dumps(said))

asyncio.run(main())
"""


def test_a_large_request_that_would_be_cancelled_is_refused_before_it_waits():
    refused = [503, "overloaded: large images of 8 s wait already", 3]
    assert answers(PYTHON, CROWDED) == ["done", "done", "done", "done", refused, "done"]


def test_only_when_the_queue_is_full_a_request_is_refused(strict: Server):
    small = json.dumps({"instances": [b64(GOOD)]})  # a second large one would be refused for the first
    with ThreadPoolExecutor(2) as pool:
        both = []
        for name, body in (("running", SLOW), ("waiting", small)):
            both.append(pool.submit(strict.request, "POST", PREDICT, body))
            wait_for(lambda n=name: gauge(strict, f"serving_predictions_{n}") == 1, strict)
        status, headers, answer = strict.request("POST", PREDICT, small)
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(answer) == {"error": "overloaded: 1 predictions wait already"}
        # What needs no prediction is answered all the same, and what is wrong is told so at once.
        assert strict.get("/health/ready") == {"ready": True}
        assert strict.request("POST", PREDICT, "{")[0] == 400
        # What waited has its turn when the other is cancelled, and as much time as it came later.
        assert [one.result()[0] for one in both] in ([504, 200], [504, 504])
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
    wait_for(lambda: gauge(server, "serving_predictions_running") == 1, server)
    for connection in connections:
        connection.close()
    # Far sooner than the minutes that the images would take.
    wait_for(lambda: gauge(server, "serving_predictions_running") == 0, server)
    assert gauge(server, "serving_predictions_waiting") == 0
    assert server.mask(GOOD)


def test_whoever_asks_much_does_not_go_before_whoever_asks_little():
    admission = Admission(1, 64 * MEGAPIXEL)
    many = [Work(4096, client="many") for _ in range(64)]
    for work in many:
        admission.add(work)
    assert (inside := admission.next()) is many[0]
    few = Work(4096, client="few")
    admission.add(few)
    assert few in next_ones(admission, inside, 2)


def next_ones(admission: Admission, inside: Work, count: int) -> list[Work]:
    """Those that are let in next, each when the one before has ended."""
    found = [inside]
    for _ in range(count):
        admission.leave(found[-1])
        following = admission.next()
        assert following
        found.append(following)
    return found[1:]


def test_clients_get_equal_shares_of_pixels_and_what_was_long_ago_does_not_count():
    admission = Admission(1, 64 * MEGAPIXEL)
    inside = Work(MEGAPIXEL, client="one")
    admission.add(inside)
    assert admission.next() is inside
    for _ in range(3):
        admission.add(Work(MEGAPIXEL, client="one"))
    for _ in range(6):
        admission.add(Work(MEGAPIXEL // 2, client="other"))
    order = [work.client for work in next_ones(admission, inside, 9)]
    assert [order[start : start + 3].count("other") for start in (0, 3, 6)] == [2, 2, 2]
    # Whoever comes anew begins with those that are there, and has no advance for having been away.
    assert set(admission._given) == {"one", "other"}
    admission.add(Work(1, client="third"))
    given = dict(admission._given)
    assert given.pop("third") == min(given.values()) > 0


def test_one_that_comes_anew_begins_with_those_that_wait_and_not_with_a_slow_request_in_progress():
    admission = Admission(2, 64 * MEGAPIXEL)
    admission.add(Work(2 * MEGAPIXEL, client="slow"))
    assert let_in(admission) == [2]
    for _ in range(21):
        admission.add(Work(MEGAPIXEL, client="old"))
    inside = admission.next()
    assert inside
    [*_, inside] = next_ones(admission, inside, 10)
    for _ in range(10):
        admission.add(Work(MEGAPIXEL, client="new"))
    assert [work.client for work in next_ones(admission, inside, 10)].count("new") == 5


def test_where_one_waits_too_many_it_is_one_of_whoever_has_the_most():
    admission = Admission(1, 64 * MEGAPIXEL)
    works = [Work(pixels, client=client) for client, pixels in (("a", 1), ("a", 2), ("a", 3), ("b", 9))]
    for work in works:
        admission.add(work)
    assert admission.too_many(works[0]) is works[0]  # who has the most does not push out its own
    assert admission.too_many(works[3]) is works[2]
    admission.waiting.leave(works[2])
    admission.add(another := Work(1, client="b"))
    assert admission.too_many(another) is another  # as many as the other


def test_large_requests_of_others_count_as_far_as_they_are_let_in_before():
    admission = Admission(2, 64 * MEGAPIXEL)
    for _ in range(5):
        admission.add(Work(10 * MEGAPIXEL, client="many"))
    assert admission.large_before(Work(10 * MEGAPIXEL, client="many")) == 50 * MEGAPIXEL
    assert admission.large_before(Work(10 * MEGAPIXEL, client="few")) == 10 * MEGAPIXEL
    assert admission.large_before(Work(20 * MEGAPIXEL, client="few")) == 20 * MEGAPIXEL


# One place, and four that wait: a client has them all when another one asks.
FULL = """
import asyncio, json
from serving.errors import Refused
from serving.memory import Releaser
from serving.model import predictor
from serving.model.turns import Turns

async def main():
    found = predictor.Predictor(None, 1, 4, 10.0, 10**9, Releaser(), Turns())
    found._call = lambda job, version, work: job(work)
    ended, loop, said = asyncio.Event(), asyncio.get_running_loop(), []

    def slow(work):
        asyncio.run_coroutine_threadsafe(ended.wait(), loop).result()

    async def ask(name, client):
        try:
            await found.run(slow, 1, None, client)
            said.append(name)
        except Refused as error:
            said.append(f"{name} {error.status} {error.message}")

    asked = []
    for name in "abcde":
        asked.append(asyncio.ensure_future(ask(name, "many")))
        await asyncio.sleep(0.01)
    asked.append(asyncio.ensure_future(ask("x", "few")))
    await asyncio.sleep(0.01)
    asked.append(asyncio.ensure_future(ask("y", "few")))
    while len(said) < 1:
        await asyncio.sleep(0.01)
    asked[3].cancel()  # in the moment in which it is turned away, or right after
    await asyncio.sleep(0.1)
    ended.set()
    await asyncio.gather(*asked, return_exceptions=True)
    await ask("z", "many")  # the place is free
    print(json.dumps([said, len(found._admission._inside)]))

asyncio.run(main())
"""


def test_the_queue_is_no_one_clients():
    said, inside = answers(PYTHON, FULL)
    refused = "e 503 overloaded: 4 predictions wait already"
    assert [one for one in said if one[0] != "d"] == [refused, "a", "b", "x", "c", "y", "z"]
    assert inside == 0
