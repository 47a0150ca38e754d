"""A run that makes no progress is noticed; one that makes some is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.process.stall import LOOKS, StallWatch
from unet.progress import report

SECONDS = 0.6
OFTEN = 2 * SECONDS  # of small steps, each of which is progress
LONG = 60.0  # more than anything takes: a stall ends the work


def stalled(folder: Path, step: Callable[[int], object], within: float, seconds: float = SECONDS) -> bool:
    """Whether work in small steps counts as a stall within a time."""
    found = threading.Event()
    with StallWatch(seconds, [folder], found.set):
        for number in range(round(within / SECONDS * 10)):
            step(number)
            if found.wait(SECONDS / 10):
                break
    return found.is_set()


def silence(number: int) -> None:
    pass


def test_silence_is_a_stall(tmp_path):
    assert stalled(tmp_path, silence, LONG)


def test_zero_seconds_watch_nothing(tmp_path):
    before = threading.active_count()
    assert not stalled(tmp_path, silence, SECONDS / 3, seconds=0)
    assert threading.active_count() == before


def test_a_short_silence_is_none(tmp_path):
    assert not stalled(tmp_path, silence, SECONDS / 3)


def test_steps_are_progress(tmp_path):
    assert not stalled(tmp_path, lambda number: report("training", number + 1, 20), OFTEN)


def test_a_growing_file_is_progress(tmp_path):
    (tmp_path / "deep").mkdir()

    def grow(number: int) -> None:
        with (tmp_path / "deep" / "log.txt").open("a") as file:
            file.write("line\n")

    assert not stalled(tmp_path, grow, OFTEN)


def test_a_file_that_is_replaced_or_removed_is_progress(tmp_path):
    path = tmp_path / "a"

    def change(number: int) -> None:
        if number % 2:
            path.unlink()
        else:
            path.write_text("x")

    assert not stalled(tmp_path, change, OFTEN)


def test_reading_is_none(tmp_path):
    (tmp_path / "a").write_text("x")
    assert stalled(tmp_path, lambda number: (tmp_path / "a").read_text(), LONG)


def test_folders_that_are_missing_are_no_error(tmp_path):
    assert stalled(tmp_path / "no", silence, LONG)


SUSPENDED = """
import sys, threading
from pathlib import Path
from pipeline.process.stall import StallWatch

class Looked(list):
    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()

found, folders = threading.Event(), Looked([Path(sys.argv[1])])
with StallWatch(3.0, folders, found.set):
    print("ready", flush=True)
    found.wait(60)
print(folders.looks)
"""


def test_the_time_of_a_suspended_process_does_not_count(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SUSPENDED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(3.5)
    os.kill(process.pid, signal.SIGCONT)
    output, _ = process.communicate(timeout=LONG)
    # By the count of looks, not by the clock, as a busy machine delays this process, too: if the time of the
    # suspension counted, the first look after it would be a stall.
    assert int(output) > LOOKS / 2
