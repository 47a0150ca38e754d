"""Files that are there whole or not at all, and hashes of files that are computed once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

# A change so shortly after another one may have the same times: file systems stamp by the kernel's tick.
_TICK = 20_000_000  # nanoseconds

_Stamp = tuple[int, ...]
_hashes: dict[Path, tuple[_Stamp, str]] = {}  # of this process: a run checks, plans and reads the same files


@contextlib.contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Opens a file that gets its name once all of it is on the disk.

    Until then it is a hidden file of a unique name in the same folder, which is removed if anything goes
    wrong: whatever happens, what has the name is the file of before or the whole new one.

    Args:
        path: the file to write or to replace; its folder exists.
        mode: "w" for text in UTF-8, "wb" for bytes.

    Yields:
        The open file. Libraries that open files by themselves may write to its `name`.

    Raises:
        OSError: the file cannot be written.
    """
    # 60 characters take at most 240 bytes: with the rest, the 255 that a name may have.
    part = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex[:8]}.part")
    encoding = {} if mode == "wb" else {"encoding": "utf-8", "errors": "backslashreplace"}
    try:
        with open(part, mode.replace("w", "x"), **encoding) as file:  # type: ignore[call-overload]
            yield file
        with part.open("rb") as written:  # opened again: another writer may have used the name
            os.fsync(written.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in little memory; empty if it cannot be read, which reading its pages will tell.

    A file is hashed once in a process, and again only after its size, times or inode changed.
    """
    try:
        before = _stamp(path)
        if known := _known(path, before):
            return known
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return _keep(path, before, digest.hexdigest())
    except OSError:
        return ""


def read_and_hash(path: Path, read: Callable[[Path], bytes]) -> tuple[bytes, str]:
    """The content of a file and its SHA-256, which is computed as rarely as by `hash_of`.

    Args:
        path: the file.
        read: reads the file; what it raises is raised here.
    """
    before = _stamp(path)
    content = read(path)
    known = _known(path, before) if before == _stamp(path) else None
    return content, known or _keep(path, before, hashlib.sha256(content).hexdigest())


def _stamp(path: Path) -> _Stamp:
    """What changes with the content of a file, st_ctime even if mtime is set back; empty: no such file."""
    try:
        found = path.stat()
    except OSError:  # reading the file tells why
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_ctime_ns


def _known(path: Path, stamp: _Stamp) -> str | None:
    kept = _hashes.get(path)
    return kept[1] if kept and kept[0] == stamp else None


def _keep(path: Path, before: _Stamp, sha256: str) -> str:
    """Remembers a hash, unless the file changed while it was read, or so lately that no time would tell."""
    if before and before == _stamp(path) and time.time_ns() - before[-1] > _TICK:
        _hashes[path] = before, sha256
    return sha256
