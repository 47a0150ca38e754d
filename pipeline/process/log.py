"""The log of a run: everything that libraries print goes into one file, and the terminal stays ours."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


@contextlib.contextmanager
def captured(path: Path) -> Iterator[TextIO]:
    """Sends standard output and error, of Python and of native code, to a file while the block runs.

    Lines for which the disk has no room are lost; whoever writes them hears nothing of it.

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
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_forgiving(descriptor) for descriptor in (1, 2))
    encoding = sys.stdout.encoding or "utf-8"
    terminal = io.open(os.dup(saved[0]), "w", encoding=encoding, errors="backslashreplace", buffering=1)  # noqa: SIM115, UP020
    try:
        yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams
        with contextlib.suppress(OSError):  # whoever read it is gone
            terminal.close()
        for descriptor, original in enumerate(saved, 1):
            os.dup2(original, descriptor)
            os.close(original)


class _Forgiving(io.FileIO):
    """Takes what cannot be written for written: a full disk must not end a run."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _forgiving(descriptor: int) -> TextIO:
    """A stream of Python to a descriptor that stays open."""
    raw = _Forgiving(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), "utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


def open_closed() -> None:
    """Opens the null device for each standard stream that is closed; call it before files are opened.

    Else the next file would get the number of the stream, and in it what native code prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def forgive_encodings() -> None:
    """Shows a character that standard output or error cannot encode as an escape; else Python would fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
