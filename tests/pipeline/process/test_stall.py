"""A run that makes no progress is noticed; one that makes some is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.process.stall import StallWatch
from unet.progress import report

SECONDS = 0.6


def stalled(folder: Path, work: object, seconds: float = SECONDS) -> bool:
    """Whether a piece of work counts as a stall."""
    found = threading.Event()
    with StallWatch(seconds, [folder], found.set):
        work()  # type: ignore[operator]
    return found.is_set()


def often(step: object) -> object:
    """Work that takes twice the time of a stall, in small steps."""

    def work() -> None:
        for number in range(20):
            step(number)  # type: ignore[operator]
            time.sleep(SECONDS / 10)

    return work


def test_silence_is_a_stall(tmp_path):
    assert stalled(tmp_path, lambda: time.sleep(3 * SECONDS))


def test_zero_seconds_watch_nothing(tmp_path):
    before = threading.active_count()
    assert not stalled(tmp_path, lambda: time.sleep(SECONDS), seconds=0)
    assert threading.active_count() == before


def test_a_short_silence_is_none(tmp_path):
    assert not stalled(tmp_path, lambda: time.sleep(SECONDS / 3))


def test_steps_are_progress(tmp_path):
    assert not stalled(tmp_path, often(lambda number: report("training", number + 1, 20)))


def test_a_growing_file_is_progress(tmp_path):
    (tmp_path / "deep").mkdir()

    def grow(number: int) -> None:
        with (tmp_path / "deep" / "log.txt").open("a") as file:
            file.write("line\n")

    assert not stalled(tmp_path, often(grow))


def test_a_file_that_is_replaced_or_removed_is_progress(tmp_path):
    path = tmp_path / "a"

    def change(number: int) -> None:
        if number % 2:
            path.unlink()
        else:
            path.write_text("x")

    assert not stalled(tmp_path, often(change))


def test_reading_is_none(tmp_path):
    (tmp_path / "a").write_text("x")
    assert stalled(tmp_path, often(lambda number: (tmp_path / "a").read_text()))


def test_folders_that_are_missing_are_no_error(tmp_path):
    assert stalled(tmp_path / "no", lambda: time.sleep(3 * SECONDS))


SUSPENDED = """
import sys, time
from pathlib import Path
from pipeline.process.stall import StallWatch
with StallWatch(2.0, [Path(sys.argv[1])], lambda: print("stalled", flush=True)):
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "told"), [(1.2, ""), (6, "stalled\n")])
def test_the_time_of_a_suspended_process_does_not_count(seconds, told, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SUSPENDED, str(tmp_path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(process.pid, signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    assert output == told
