"""A later run has a later id, whatever the clock and the time zone do."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from pipeline.history.run_ids import is_made, next_id, order, refusal

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


def test_an_id_that_a_user_chose_is_placed_by_the_start_of_its_run():
    started = datetime(2026, 10, 25, 4, 30, tzinfo=timezone(timedelta(hours=2)))  # 02:30 UTC
    keys = [order("20261025-023001Z"), order("night", started), order("20261025-022959Z"), order("zebra")]
    assert [name for *_, name in sorted(keys)] == ["zebra", "20261025-022959Z", "night", "20261025-023001Z"]


@pytest.mark.parametrize(
    ("run_id", "good"),
    [
        ("scheduled__2026-11-25T02:00:00+00:00", True),
        ("7", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("..", False),
        ("a/b", False),
        ("a~1", False),
        ("a*", False),
        ("\u00e4", False),
        ("latest", False),
    ],
)
def test_an_id_is_the_name_of_a_folder(run_id: str, good: bool):
    assert (refusal(run_id) == "") == good
    assert not is_made(run_id)
    assert is_made("20261025-022959Z-02")
