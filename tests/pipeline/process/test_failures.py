"""The cause of a failure, as one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.engine.workers import WorkerLost
from pipeline.metadata.place import StoreError, Unreachable
from pipeline.process.failures import explain
from unet.errors import BadInput, TrainingFailed

BEAM = """Traceback (most recent call last):
  File "worker.py", line 1, in process
{last} [while running 'WriteShard']
"""


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", "stopped by a signal in Trainer"),
        (BadInput("a.png: empty"), "bad_input", "a.png: empty"),
        (TrainingFailed("no trial"), "failed", "no trial"),
        (RuntimeError(BEAM.format(last="unet.errors.BadInput: a: empty")), "bad_input", "a: empty"),
        (RuntimeError(BEAM.format(last="KeyError: 'x'")), "failed", "Trainer: KeyError: 'x'"),
        (BadInput("a: empty [while running 'WriteShard']"), "bad_input", "a: empty"),
        (KeyError("x [while running 'A']"), "failed", 'Trainer: KeyError: "x"'),
        (RuntimeError("MemoryError [while running 'A']"), "failed", "Trainer: out of memory: lower patch"),
        (RuntimeError("OSError: [Errno 28] No space left on device"), "failed", "the disk is full"),
        (Unreachable("the database on a:1 was lost"), "interrupted", "the database on a:1 was lost"),
        (StoreError("a: half-written"), "failed", "Trainer: StoreError: a: half-written"),
        (RuntimeError("nothing special"), "failed", "Trainer: RuntimeError: nothing special"),
        (MemoryError(), "failed", "Trainer: out of memory: lower patch_size"),
        (OSError(errno.ENOSPC, "No space left", "x"), "failed", "the disk is full: make room in /root"),
        (OSError(errno.ENOSPC, "No space left", "/other/x"), "failed", "make room in /other, then"),
        (OSError(errno.ENOSPC, "No space left", "/root/a/x"), "failed", "make room in /root, then"),
        (OSError(errno.EDQUOT, "Quota", "/root/x"), "failed", "Trainer: the quota of the disk is used up"),
        (RuntimeError("OSError: [Errno 122] Disk quota exceeded"), "failed", "the quota of the disk"),
        (OSError(errno.EROFS, "ro", "/root/x"), "failed", "/root cannot be written any more: the file sys"),
        (OSError(errno.EFBIG, "big", "/root/x"), "failed", "raise the limit (ulimit -f)"),
        (RuntimeError("ResourceExhaustedError: /a; Too many open files"), "failed", "limit (ulimit -n)"),
        (RuntimeError("OSError: [Errno 28] No space left on device: '/a/x'"), "failed", "room in /a, then"),
        (RuntimeError("OperationalError: database or disk is full"), "failed", "the disk is full: make room"),
        (RuntimeError("unable to open database file "), "failed", "too many files are open, or it"),
        (PermissionError(errno.EACCES, "Denied", "/a"), "failed", "Trainer: /a: Denied"),
        (ValueError("first line\nsecond"), "failed", "Trainer: ValueError: first line"),
        (ValueError(), "failed", "Trainer: ValueError"),
        (WorkerLost("a worker of Beam is lost"), "failed", "Trainer: a worker of Beam is lost"),
    ],
)  # fmt: skip
def test_an_exception_becomes_a_sentence(error, status, reason):
    found = explain(error, "Trainer", Path("/root"))
    assert found[0] == status
    assert reason in found[1]
    assert "\n" not in found[1]
    assert "Traceback" not in found[1]
    assert "while running" not in found[1]
