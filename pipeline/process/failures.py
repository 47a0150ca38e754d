"""The cause of a failure, as one sentence."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.engine.workers import WorkerLost
from pipeline.metadata.place import Unreachable
from pipeline.process import signals
from unet.errors import BadInput, ExportRejected, ImagesLost, TrainingFailed

_BY_BEAM = re.compile(r" ?\[while running .*?\]")

_FULL = "the disk is full: make room in {place}, then run the same command again"
_OF_THE_MACHINE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "the quota of the disk is used up: make room in {place}, then run the same command again",
    errno.EROFS: "{place} cannot be written any more: the file system is read-only",
    errno.EFBIG: "a file in {place} became larger than is allowed: raise the limit (ulimit -f)",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), then run the same command again",
    errno.ENFILE: "too many files are open on this machine: run the same command again later",
}
_NAMED = re.compile(r"\[Errno \d+\] [^:]*: '(/[^']*)'")  # as Python shows an OSError
_SHARED_MEMORY, _FULL_BELOW = Path("/dev/shm"), 1 << 20  # bytes
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
    for number, advice in _OF_THE_MACHINE.items():
        # TensorFlow, Beam and SQLite make other exceptions of it.
        if (isinstance(error, OSError) and error.errno == number) or os.strerror(number) in message:
            return "failed", f"{where}{advice.format(place=_place(error, root, number))}"
    if _SQLITE_FULL in message:
        return "failed", f"{where}{_FULL.format(place=root)}"
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


def _place(error: BaseException, root: Path, number: int) -> Path:
    """The folder that an error of the machine is about: the root, or where the file is that is not in it."""
    name = error.filename if isinstance(error, OSError) else None
    if not isinstance(name, str):  # the text of another exception may name the file
        name = found[1] if (found := _NAMED.search(str(error))) else ""
    if os.path.isabs(name):
        return root if Path(name).is_relative_to(root) else Path(name).parent
    # Nobody says which file: libraries write temporary ones, too.
    places = [root, Path(tempfile.gettempdir())]
    if number == errno.EROFS:
        return next((p for p in (*places, _SHARED_MEMORY) if p.is_dir() and not os.access(p, os.W_OK)), root)
    if _free(_SHARED_MEMORY) < _FULL_BELOW:  # it is small by nature: less room than on a disk says nothing
        places.append(_SHARED_MEMORY)
    return min(places, key=_free)


def _free(folder: Path) -> int:
    """Free bytes of a folder's file system; of one that cannot be asked, as many as there can be."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return sys.maxsize


def _cause(error: BaseException) -> tuple[str, str]:
    """Class and message of the exception; of the one within, where Beam made a text of it."""
    text = _BY_BEAM.sub("", str(error)).strip()
    found = re.findall(r"^((?:\w+\.)*\w*(?:Error|BadInput|Exception))\b:?(.*)$", text, re.MULTILINE)
    if found and (type(error) is RuntimeError or "Traceback (most recent call last)" in text):
        name, message = found[-1]
        return name.rpartition(".")[2], message.strip()
    return type(error).__name__, text
