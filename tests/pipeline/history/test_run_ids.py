"""A later run has a later id, whatever the clock and the time zone do."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from pipeline.history.run_ids import next_id, order

AUTUMN = 1792891800  # 2026-10-25T01:30:00Z: in Berlin half past two, for the second time on that day


@pytest.mark.parametrize(
    ("existing", "wanted"),
    [
        ([], "20261025-013000Z"),
        (["20261025-012959Z"], "20261025-013000Z"),
        (["20261025-013000Z"], "20261025-013000Z-02"),
        (["20261025-013000Z", "20261025-013000Z-02"], "20261025-013000Z-03"),
        (["20261025-013000Z-99"], "20261025-013000Z-100"),
        (["20261025-013000Z-100", "20261025-013000Z-99"], "20261025-013000Z-101"),
        (["20261025-013000Z", "20990101-000000Z"], "20990101-000000Z-02"),  # a clock that was set right again
        (["notes", "20261025-090000", "7", "20261025-013000Z-"], "20261025-013000Z"),  # folders, no ids
    ],
)
def test_a_new_id_is_later_than_every_existing_one(existing: list[str], wanted: str):
    assert next_id(existing, AUTUMN) == wanted


def test_ids_sort_in_the_order_in_which_they_were_made_however_the_clock_jumps():
    clock, made = random.Random(1), list[str]()
    for _ in range(300):
        made.append(next_id(clock.sample(made, len(made)), AUTUMN + clock.randint(-20, 20)))
    assert sorted(clock.sample(made, len(made)), key=order) == made
    assert len(set(made)) == len(made)
    assert next_id(made, AUTUMN + 60) == "20261025-013100Z"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles"])
def test_the_time_zone_of_the_machine_does_not_matter(zone: str):
    code = f"from pipeline.history.run_ids import next_id; print(next_id([], {AUTUMN}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"TZ": zone}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "20261025-013000Z\n"
