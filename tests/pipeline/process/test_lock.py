"""One run at a time on one root, and no stale locks."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from pipeline.process.lock import Locked, exclusive, holder
from tests.open_files import none_left
from unet.files import NoLocks

HOLD = "import sys, time; from pathlib import Path; from pipeline.process.lock import exclusive\n"
HOLD += "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_process_is_told_who_works_and_a_killed_one_leaves_nothing(tmp_path):
    path = tmp_path / "root" / ".lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(Locked, match=str(process.pid)), exclusive(path):
        pass
    assert holder(path) == process.pid
    with pytest.raises(OSError, match="Too many open files"), none_left():
        holder(path)  # a run that is at work must not count as killed
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert holder(path) is None
    with exclusive(path):
        assert path.read_text() == str(os.getpid())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_so(tmp_path, monkeypatch, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)  # as Lustre does without the option flock
    with pytest.raises(NoLocks, match="no file locks") as error, exclusive(tmp_path / "root" / ".lock"):
        pass
    assert error.value.filename == str(tmp_path / "root")


def test_the_lock_is_free_after_the_block(tmp_path):
    for _ in range(2):
        with exclusive(tmp_path / ".lock"):
            pass
