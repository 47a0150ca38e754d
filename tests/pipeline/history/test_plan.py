"""A run takes the smaller plan after the kernel killed one for lack of memory, or where memory is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.history.plan import machine, why_smaller
from pipeline.history.record import RunRecord
from pipeline.history.runs import KILLED, Run

CONFIG = {"steps": 30, "data": "/cells"}
NOW = {"start": "a", "kernel_kills": 5, "memory": 1000}


def run(run_id: str = "1", status: str = KILLED, config: Any = None, **then: Any) -> Run:
    record = RunRecord(run_id, "", config=config or CONFIG, machine={**NOW, "kernel_kills": 4, **then})
    return Run(run_id, Path(), "", status, "", 0.0, [], record, [])


def told(*before: Run, needed: int | None = None, **now: Any) -> tuple[str, str]:
    return why_smaller(before, CONFIG, needed, {**NOW, **now})


def test_a_killed_run_while_the_kernel_killed_for_memory_makes_the_next_one_smaller():
    assert told(run()) == ("the kernel killed run 1 for lack of memory", "1")


@pytest.mark.parametrize(
    "before",
    [
        run(kernel_kills=5),  # somebody else ended it
        run(start="b"),  # the machine was started again
        run(status="failed"),
        run(status="pushed"),
        run(config={"steps": 31}),  # another configuration
    ],
    ids=["kill", "boot", "failed", "pushed", "other"],
)
def test_other_ends_do_not(before):
    assert told(before) == ("", "")


def test_a_record_of_before_tells_nothing():
    old = run()
    old.record.machine = {}
    assert told(old) == ("", "")


def test_where_the_kernel_does_not_count_a_kill_is_taken_for_one_for_memory():
    assert told(run(kernel_kills=None), kernel_kills=None)[1] == "1"
    assert told(run(kernel_kills=None, start="b"), kernel_kills=None)[1] == ""


def test_the_data_folder_does_not_matter():
    assert told(run(config={**CONFIG, "data": "/other"}))[1] == "1"


def test_the_last_run_of_these_settings_counts():
    assert told(run("1"), run("2", status="pushed")) == ("", "")
    assert told(run("1"), run("2", status="pushed", config={"steps": 9}))[1] == "1"


def test_the_plan_stays_after_it_succeeded_until_there_is_more_memory():
    done = run("2", status="pushed", killed="1")
    assert told(done) == ("the kernel killed run 1 for lack of memory", "1")
    assert told(done, memory=1050)[1] == "1"
    assert told(done, memory=2000) == ("", "")


def test_a_kill_under_the_smaller_plan_says_what_is_left_to_do():
    sentence, killed = told(run("2", killed="1"))
    assert killed == "1"
    assert sentence.startswith("the kernel killed run 1 for lack of memory, and run 2 under the smaller plan")
    assert "batch_size" in sentence


def test_too_little_memory_for_the_whole_plan_makes_it_smaller():
    assert told(needed=1 << 60) == ("there is less memory than the whole plan needs", "")
    assert told(needed=1) == ("", "")


def test_what_the_record_keeps_is_what_the_next_run_compares():
    kept = machine()
    assert kept["memory"] > 2**20
    assert kept.keys() == NOW.keys()
