from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator

import pytest

from unet.dataset.parallel import in_order
from unet.images.capacity import cores


def test_answers_come_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def wait(number: int) -> int:
        if number == 0:
            assert later.wait(10)
        elif number == 1:
            later.set()
        return number * number

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(in_order(pool, wait, range(100))) == [i * i for i in range(100)]
        assert list(in_order(pool, wait, [])) == []


def test_items_are_taken_only_a_few_ahead_of_their_answers() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answers = in_order(pool, lambda number: number, items())
        for answered in range(10):
            assert next(answers) == answered
            assert taken == answered + 2 * cores() + 1
        assert list(answers) == list(range(10, 1000))


def test_a_failure_is_raised_where_its_answer_would_be() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answers = in_order(pool, lambda number: 6 // number, [3, 2, 0])
        assert [next(answers), next(answers)] == [2, 3]
        with pytest.raises(ZeroDivisionError):
            next(answers)
