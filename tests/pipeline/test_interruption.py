"""A request to stop arrives, whatever swallows the first exception."""

import signal
import subprocess
import sys
import time

import pytest

SWALLOW = """
import signal, sys, time
from pipeline import interruption
interruption.install()
print("ready", flush=True)
try:
    try:
        time.sleep(60)
    except BaseException:
        pass  # as a library's callback would
    time.sleep(60)
except KeyboardInterrupt:
    interruption.settle()
    time.sleep(2 * interruption.SECONDS_BETWEEN)
    sys.exit(75 if interruption.happened() else 1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_raised_again_until_it_is_settled(number):
    process = subprocess.Popen(
        [sys.executable, "-c", SWALLOW],
        stdout=subprocess.PIPE,
        text=True,
        # Shells start background jobs, maybe these tests, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 75


def test_a_background_job_that_ignores_ctrl_c_still_obeys_sigterm():
    ignoring = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SWALLOW}"
    process = subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 75
