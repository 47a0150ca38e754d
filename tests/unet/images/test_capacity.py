"""How much of the machine a process takes."""

from __future__ import annotations

import os

import pytest

from unet.images import capacity


@pytest.fixture(autouse=True)
def _whole_plan_afterwards():
    yield
    capacity.plan_smaller(False)


def test_the_whole_plan_takes_the_cores_this_process_may_use() -> None:
    assert capacity.cores() == len(os.sched_getaffinity(0))
    assert capacity.cache_bytes() == 2**28


def test_the_smaller_plan_reads_one_image_at_a_time_and_keeps_no_tile() -> None:
    capacity.plan_smaller(True)
    assert (capacity.cores(), capacity.cache_bytes()) == (1, 0)


def test_a_plan_can_be_asked_about_without_being_taken() -> None:
    assert (capacity.cores(smaller=True), capacity.cache_bytes(smaller=True)) == (1, 0)
    capacity.plan_smaller(True)
    assert capacity.cache_bytes(smaller=False) == 2**28
