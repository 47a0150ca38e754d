"""A request to stop arrives, whatever swallows the first exception."""

import signal
import subprocess
import sys
import time

import pytest

SWALLOW = """
import signal, sys, time
from pipeline.process import signals
signals.install()
print("ready", flush=True)
try:
    try:
        time.sleep(60)
    except BaseException:
        pass  # as a library's callback would
    time.sleep(60)
except KeyboardInterrupt:
    signals.settle()
    time.sleep(2 * signals.SECONDS_BETWEEN)
    sys.exit(75 if signals.happened() else 1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_raised_again_until_it_is_settled(number):
    process = start(SWALLOW)
    time.sleep(0.2)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 75


def test_a_background_job_that_ignores_ctrl_c_still_obeys_sigterm():
    ignoring = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SWALLOW}"
    process = start(ignoring)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 75


STUCK = """
import hashlib, sys
from pipeline.process import signals
signals.install()
signals.watch(lambda: print("last words", flush=True))
while True:
    try:
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in which no exception is raised
    except KeyboardInterrupt:
        pass
"""


def start(code: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        # Shells start background jobs, maybe these tests, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_native_code_does_not_keep_a_process_that_is_to_stop(number):
    process = start(STUCK)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert output.endswith("last words\n")


SETTLING = """
import time
from pipeline.process import signals
signals.install()
signals.watch(lambda: print("too late", flush=True))
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    signals.settle()
    print("settled", flush=True)
    time.sleep(signals.SECONDS_TO_STOP + 1)  # what is told at the end may take its time
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
