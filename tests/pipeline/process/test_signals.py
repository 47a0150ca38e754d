"""A request to stop arrives, whatever swallows the first exception."""

import re
import signal
import subprocess
import sys

import pytest

from pipeline.process import signals
from tests.docs.blocks import DOCS

TO_STOP = 0.5  # seconds, instead of those that a user waits
_SOON = f"""
from pipeline.process import signals
signals.SECONDS_TO_STOP, signals.SECONDS_BETWEEN = {TO_STOP}, 0.25
"""

SWALLOW = """
import signal, sys, time
from pipeline.process import signals
signals.install()
try:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException:
        pass  # as a library's callback would
    time.sleep(60)
except KeyboardInterrupt:
    signals.settle()
    time.sleep(2 * signals.SECONDS_BETWEEN)
    sys.exit(75 if signals.happened() else 1)
"""


@pytest.mark.parametrize("number", signals.STOPPING)
def test_it_is_raised_again_until_it_is_settled(number):
    process = start(SWALLOW)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 75


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("code", ["SWALLOW", "STUCK"])
def test_what_a_background_job_or_nohup_ignores_stays_ignored_but_sigterm_is_obeyed(number, code):
    process = start(f"import signal; signal.signal({number:d}, signal.SIG_IGN)\n{globals()[code]}")
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(TO_STOP + 0.75)  # more than any of both takes to end
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75


STUCK = """
import ctypes, sys
from pipeline.process import signals
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
library.pthread_mutex_lock(mutex)
signals.install()
signals.watch(lambda: print("last words", flush=True))
while True:
    try:
        print("ready", flush=True)
        library.pthread_mutex_lock(mutex)  # for ever, and no exception is raised in it
    except KeyboardInterrupt:
        pass
"""


def _heed_all() -> None:
    """Shells start background jobs, maybe these tests, with SIGINT ignored, and `nohup` with SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(code: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", _SOON + code],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_all,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", signals.STOPPING)
def test_native_code_does_not_keep_a_process_that_is_to_stop(number):
    process = start(STUCK)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert output.endswith("last words\n")


SETTLING = """
import time
from pipeline.process import signals
signals.SECONDS_TO_STOP = 1.0  # the second signal has to come within it
signals.install()
signals.watch(lambda: print("too late", flush=True))
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    signals.settle()
    print("settled", flush=True)
    time.sleep(signals.SECONDS_TO_STOP + 0.5)  # what is told at the end may take its time
    print("end", flush=True)
"""


def test_a_second_ctrl_c_does_not_disturb_what_is_told_at_the_end():
    process = start(SETTLING)
    process.send_signal(signal.SIGINT)
    assert process.stdout
    assert process.stdout.readline() == "settled\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "end\n")


def test_all_that_waits_after_a_signal_ends_within_the_seconds_that_are_promised():
    longest = max(signals.SECONDS_TO_SAVE, signals.SECONDS_TO_STOP) + signals._LAST_WORDS
    page = (DOCS / "how-to/resume.md").read_text(encoding="utf-8")
    promised = re.search(r"in at most (\d+) seconds with exit code 75", page)
    assert promised
    assert longest <= int(promised[1]) == 20
