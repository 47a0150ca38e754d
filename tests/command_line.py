"""The command line, called as a function: what it prints and returns, without a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from pipeline.cli import main
from pipeline.process.signals import STOPPING

_NUMBERS = (*STOPPING, signal.SIGALRM)


def call(*words: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Calls `run_pipeline.py` with some words, as a process of its own would be called.

    Standard output and error are caught as descriptors, as native code and the log of a run use those.
    """
    arguments = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        out, err = Path(folder, "out"), Path(folder, "err")
        stack.enter_context(_signals_restored())
        stack.enter_context(_descriptor(1, "stdout", out))
        stack.enter_context(_descriptor(2, "stderr", err))
        stack.enter_context(_attribute(sys, "argv", ["run_pipeline.py", *arguments]))
        if cwd:
            stack.enter_context(_directory(cwd))
        try:
            code = main(arguments)
        except SystemExit as error:  # of argparse
            code = int(error.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        return CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))


@contextlib.contextmanager
def _descriptor(number: int, name: str, path: Path) -> Iterator[None]:
    """Sends a descriptor, and Python's stream of it, to a file."""
    saved = os.dup(number)
    with path.open("wb") as file:
        os.dup2(file.fileno(), number)
    try:
        with (
            open(number, "w", encoding="utf-8", buffering=1, closefd=False) as stream,
            _attribute(sys, name, stream),
        ):
            yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


@contextlib.contextmanager
def _attribute(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Takes back what a command does to the signals of its process: else Ctrl-C would not reach pytest."""
    handlers = {number: signal.getsignal(number) for number in _NUMBERS}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
