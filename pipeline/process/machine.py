"""What an error of the machine, such as a full disk, says to a person: the place, and what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

FULL = "the disk is full: make room in {place}, then run the same command again"
_ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: "the quota of the disk is used up: make room in {place}, then run the same command again",
    errno.EROFS: "{place} cannot be written any more: the file system is read-only",
    errno.EFBIG: "a file in {place} became larger than is allowed: raise the limit (ulimit -f)",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), then run the same command again",
    errno.ENFILE: "too many files are open on this machine: run the same command again later",
}
_NAMED = re.compile(r"\[Errno \d+\] [^:]*: '(/[^']*)'")  # as Python shows an OSError
_SHARED_MEMORY, _FULL_BELOW = Path("/dev/shm"), 1 << 20  # bytes


def advice(error: BaseException, message: str, root: Path) -> str:
    """Explains an error of the machine in a sentence; empty for any other error.

    Args:
        error: the exception; TensorFlow, Beam and SQLite make other ones of an OSError.
        message: its text.
        root: folder of everything the pipeline makes.
    """
    for number, text in _ADVICE.items():
        if (isinstance(error, OSError) and error.errno == number) or os.strerror(number) in message:
            return text.format(place=_place(error, root, number)) if "{place}" in text else text
    return ""


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
