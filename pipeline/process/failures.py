"""The cause of a failure, as one sentence."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.engine.workers import WorkerLost
from pipeline.metadata.place import Unreachable
from pipeline.process import machine, signals
from unet.errors import BadInput, ExportRejected, ImagesLost, TrainingFailed

_BY_BEAM = re.compile(r" ?\[while running .*?\]")

_SQLITE_FULL, _SQLITE_UNOPENED = "database or disk is full", "unable to open database file"
_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


def explain(error: BaseException, component: str, root: Path) -> tuple[str, str]:
    """Status and reason of a run that an exception ended.

    Args:
        error: the exception.
        component: which one was at work, or empty.
        root: folder of everything the pipeline makes.
    """
    # Beam makes another exception of the KeyboardInterrupt that a signal raised while it worked.
    if isinstance(error, KeyboardInterrupt) or signals.happened():
        return "interrupted", f"stopped by a signal{f' in {component}' if component else ''}"
    name, message = _cause(error)
    if name == BadInput.__name__:
        return "bad_input", message
    if isinstance(error, TrainingFailed | ExportRejected | ImagesLost):
        return "failed", message
    if isinstance(error, Unreachable):
        return "interrupted", message
    where = f"{component}: " if component else ""
    if isinstance(error, WorkerLost):
        return "failed", f"{where}{message}"
    if told := machine.advice(error, message, root):
        return "failed", f"{where}{told}"
    if _SQLITE_FULL in message:
        return "failed", f"{where}{machine.FULL.format(place=root)}"
    if _SQLITE_UNOPENED in message:  # SQLite does not say why
        return "failed", (
            f"{where}{root / 'metadata.sqlite'} could not be opened: too many files are open, or it may not "
            "be read: raise the limit (ulimit -n), or mend its permissions, then run the same command again"
        )
    if isinstance(error, OSError) and error.filename:
        return "failed", f"{where}{error.filename}: {error.strerror}"
    if name in _OUT_OF_MEMORY:
        return "failed", f"{where}out of memory: lower patch_size, batch_size or base_filters with --set"
    first = next(iter(message.splitlines()), "")
    return "failed", f"{where}{name}: {first}".removesuffix(": ")


def _cause(error: BaseException) -> tuple[str, str]:
    """Class and message of the exception; of the one within, where Beam made a text of it."""
    text = _BY_BEAM.sub("", str(error)).strip()
    found = re.findall(r"^((?:\w+\.)*\w*(?:Error|BadInput|Exception))\b:?(.*)$", text, re.MULTILINE)
    if found and (type(error) is RuntimeError or "Traceback (most recent call last)" in text):
        name, message = found[-1]
        return name.rpartition(".")[2], message.strip()
    return type(error).__name__, text
