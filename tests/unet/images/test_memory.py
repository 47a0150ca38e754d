from __future__ import annotations

import concurrent.futures
import threading
import time

from unet.images.memory import LARGE_IMAGE, one_at_a_time, wait_for_turn


def most_at_a_time(pixels: int) -> int:
    """Of eight threads that each look at an image of that size, how many do so at the same time."""
    inside, most, lock = 0, 0, threading.Lock()

    def look(_: int) -> None:
        nonlocal inside, most
        with one_at_a_time(), one_at_a_time():  # also where an image and its mask are two of them
            wait_for_turn(pixels)
            wait_for_turn(pixels)
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    return most


def test_large_images_take_turns_and_small_ones_do_not() -> None:
    assert most_at_a_time(LARGE_IMAGE + 1) == 1
    assert most_at_a_time(LARGE_IMAGE) > 1


def test_a_failure_hands_the_turn_on() -> None:
    for _ in range(2):
        try:
            with one_at_a_time():
                wait_for_turn(LARGE_IMAGE + 1)
                raise ValueError
        except ValueError:
            pass


def test_a_reader_alone_waits_for_nobody() -> None:
    wait_for_turn(LARGE_IMAGE + 1)
    wait_for_turn(LARGE_IMAGE + 1)
