"""Who is next, and how what waits or runs is ended; nothing here depends on how fast the machine is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import tensorflow as tf

import serving.model.turns as turns_module
from serving.model.turns import LEAST, SMALL, TINY, Cancelled, Order, Turns, Work

TILE = 10 * LEAST


def work(pixels: int, step: int | None = None) -> Work:
    made = Work(pixels)
    made.step = step or pixels
    return made


def served(order: Order) -> Work:
    found = order.next()
    assert found
    order.take(found)
    return found


def test_the_fewest_pixels_left_are_next_and_of_equal_ones_the_first():
    order, works = Order(), [work(n * LEAST) for n in (9, 3, 5, 3)]
    for one in works:
        order.add(one)
    assert [works.index(served(order)) for _ in works] == [1, 3, 2, 0]
    assert order.next() is None


@pytest.mark.parametrize("small", [LEAST, 1])
def test_a_large_one_gets_a_quarter_of_the_work_while_small_ones_never_end(small: int):
    order, large = Order(), work(100 * TILE, TILE)
    order.add(large)
    turns = []
    for _ in range(310):
        order.add(work(small))
        turns.append(served(order) is large)
        if turns[-1]:
            order.add(large)
    # After thirty steps of a tenth of its tile, one of its own.
    assert [i for i, its in enumerate(turns) if its] == list(range(30, 310, 31))


def test_several_large_ones_share_that_quarter_the_oldest_first():
    order, large = Order(), [work(100 * TILE, TILE) for _ in range(3)]
    for one in large:
        order.add(one)
    gone = []
    for _ in range(90):
        order.add(work(LEAST))
        gone.append(served(order))
    assert [large.index(one) for one in gone if one in large] == [0, 1]  # as `0` does not wait again
    assert gone[30] is large[0]
    assert gone[61] is large[1]


def test_the_small_one_goes_first_however_many_large_ones_wait():
    order = Order()
    for _ in range(20):
        order.add(work(64 * TILE, TILE))
    small = work(LEAST)
    order.add(small)
    assert served(order) is small


def test_only_those_that_may_are_next():
    order, one, other = Order(), work(1), work(2)
    order.add(one)
    order.add(other)
    assert order.next(lambda w: w is not one) is other
    assert order.next(lambda w: False) is None


class Line:
    """One work that is at its turn until it is told to end, and others behind it."""

    def __init__(self, pixels: int = 1) -> None:
        self.turns, self.end = Turns(), threading.Event()
        self.log: list[int] = []
        self.pool = ThreadPoolExecutor(8)
        began = threading.Event()

        def held() -> None:
            began.set()
            assert self.end.wait(60)

        self.first = self.pool.submit(Work(pixels, self.turns).take_turn, held, pixels)
        assert began.wait(60)

    def behind(self, pixels: int) -> tuple[Work, Future[None]]:
        """Another work; returns when it waits."""
        made, count = Work(pixels, self.turns), len(self.turns._order)
        future = self.pool.submit(made.take_turn, lambda: self.log.append(pixels), pixels)
        until(lambda: len(self.turns._order) > count)
        return made, future


def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


def test_one_runs_at_a_time_and_those_that_wait_are_ordered():
    line = Line()
    futures = [line.behind(n)[1] for n in (900, 300, 500)]
    assert line.log == []
    line.end.set()
    for future in futures:
        future.result(60)
    assert line.log == [300, 500, 900]


def test_a_tiny_one_runs_beside_a_large_one_and_no_other_does():
    line = Line(TINY + 1)
    _, small = line.behind(TINY + 2)
    for _ in range(3):  # one after the other
        assert line.pool.submit(Work(TINY, line.turns).take_turn, lambda: True, TINY).result(60)
    assert line.log == []
    line.end.set()
    small.result(60)
    assert line.log == [TINY + 2]


def test_after_a_tiny_one_the_steps_of_larger_ones_are_short_for_a_while(monkeypatch: pytest.MonkeyPatch):
    turns = Turns()
    large, tiny, alone = Work(TINY + 1, turns), Work(TINY, turns), Work(TINY + 1)

    def fine() -> list[bool]:
        return [work.fine for work in (large, tiny, alone)]  # the tiny one is done soon, anyhow

    large.take_turn(lambda: None, TINY)
    assert fine() == [False, False, False]
    tiny.take_turn(lambda: None, TINY)
    assert fine() == [True, False, False]
    monkeypatch.setattr(turns_module, "FINE_SECONDS", 0)
    tiny.take_turn(lambda: None, TINY)
    assert fine() == [False, False, False]


def test_of_two_tiny_ones_one_waits():
    line = Line(TINY)
    _, other = line.behind(TINY)
    assert line.log == []
    line.end.set()
    other.result(60)


def test_one_that_waits_can_be_cancelled_and_the_others_go_on():
    line = Line()
    (lost, future), (_, other) = line.behind(300), line.behind(500)
    lost.cancel()
    with pytest.raises(Cancelled):
        future.result(60)
    line.end.set()
    other.result(60)
    assert line.log == [500]


def test_one_that_fails_gives_its_turn_back():
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        Work(1, turns).take_turn(lambda: 1 / 0, 1)
    assert Work(1, turns).take_turn(lambda: 7, 1) == 7


def test_a_cancelled_one_begins_nothing():
    done = Work(1, Turns())
    done.cancel()
    with pytest.raises(Cancelled):
        done.take_turn(lambda: pytest.fail("ran"), 1)
    assert Work(1, done._turns).take_turn(lambda: 7, 1) == 7


def test_while_a_version_is_loaded_large_ones_wait_and_small_ones_do_not():
    turns, order = Turns(), []
    large, small = Work(2 * SMALL, turns), Work(SMALL, turns)
    with ThreadPoolExecutor(2) as pool:
        with turns.only_small():
            waiting = pool.submit(large.take_turn, lambda: order.append("large"), 1)
            pool.submit(small.take_turn, lambda: order.append("small"), 1).result()
            assert not waiting.done()
        waiting.result()
    assert order == ["small", "large"]


def test_large_ones_do_not_wait_for_a_version_that_takes_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns_module, "PAUSE_SECONDS", 0.1)
    turns = Turns()
    with turns.only_small(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(Work(2 * SMALL, turns).take_turn, lambda: True, 1).result(60)


def test_an_operation_that_tells_of_another_one_runs_again():
    """One that fails cancels the others, and TensorFlow may tell of one of those."""
    told = [
        tf.errors.CancelledError(None, None, "x"),
        tf.errors.InvalidArgumentError(None, None, "the reason"),
    ]

    def fails() -> None:
        raise told.pop(0)

    with pytest.raises(tf.errors.InvalidArgumentError, match="the reason"):
        Work().run(fails)
