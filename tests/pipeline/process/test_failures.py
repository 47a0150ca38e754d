"""The cause of a failure, as one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

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
        (RuntimeError("nothing special"), "failed", "Trainer: RuntimeError: nothing special"),
        (MemoryError(), "failed", "Trainer: out of memory: lower patch_size"),
        (OSError(errno.ENOSPC, "No space left", "x"), "failed", "the disk is full: make room in /root"),
        (PermissionError(errno.EACCES, "Denied", "/a"), "failed", "Trainer: /a: Denied"),
        (ValueError("first line\nsecond"), "failed", "Trainer: ValueError: first line"),
        (ValueError(), "failed", "Trainer: ValueError"),
    ],
)  # fmt: skip
def test_an_exception_becomes_a_sentence(error, status, reason):
    found = explain(error, "Trainer", Path("/root"))
    assert found[0] == status
    assert reason in found[1]
    assert "\n" not in found[1]
    assert "Traceback" not in found[1]
    assert "while running" not in found[1]
