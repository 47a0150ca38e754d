"""The log of a run: everything that libraries print goes into one file, and the terminal stays ours."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def captured(path: Path) -> Iterator[TextIO]:
    """Sends standard output and error, of Python and of native code, to a file while the block runs.

    Yields:
        The real standard output, to talk to the user.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    encoding = sys.stdout.encoding or "utf-8"
    terminal = io.open(os.dup(saved[0]), "w", encoding=encoding, errors="backslashreplace", buffering=1)  # noqa: SIM115, UP020
    try:
        yield terminal
    finally:
        with contextlib.suppress(OSError):  # a full disk must not keep the terminal from us
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):  # whoever read it is gone
            terminal.close()
        for descriptor, original in enumerate(saved, 1):
            os.dup2(original, descriptor)
            os.close(original)


def forgive_encodings() -> None:
    """Shows a character that standard output or error cannot encode as an escape; else Python would fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
