"""Atomic writing of files, and cached hashes of their contents."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

# Numbers of the errors that tell of no room: on the disk, or within a quota of it.
FULL = (errno.ENOSPC, errno.EDQUOT)
# Two changes within this time may carry equal timestamps: file systems stamp by the kernel's tick.
_TICK = 20_000_000  # nanoseconds

Stamp = tuple[int, ...]
# The cache of this process: one run checks, plans and reads the same files.
_hashes: dict[Path, tuple[Stamp, str]] = {}


@contextlib.contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Opens a temporary file that is renamed to `path` after all of its content is on the disk.

    The temporary file is hidden, has a unique name, lies in the same folder and is removed after an error:
    whatever happens, `path` holds the previous file or the complete new one.

    Args:
        path: the file to write or to replace; its folder must exist.
        mode: "w" for text in UTF-8, "wb" for bytes.

    Yields:
        The open temporary file. Libraries that open files by themselves may write to its `name`.

    Raises:
        OSError: the file cannot be written.
    """
    # 60 characters take at most 240 bytes: with the suffix, the name stays within the limit of 255 bytes.
    part = path.with_name(f".{path.name[:60]}.{os.urandom(4).hex()}.part")
    encoding = {} if mode == "wb" else {"encoding": "utf-8", "errors": "backslashreplace"}
    try:
        with named(path):
            with open(part, mode.replace("w", "x"), **encoding) as file:  # type: ignore[call-overload]
                yield file
            fsync(part)  # opened again: a library may have written by the name
            part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Adds the name of the file that the block writes to an error of no room, of which no call tells it."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (*FULL, errno.EFBIG):
            error.filename = os.path.abspath(path)
        raise


class NoLocks(OSError):
    """The file system has no file locks, by which processes take turns."""


@contextlib.contextmanager
def told_of_no_locks(folder: Path) -> Iterator[None]:
    """Raises `NoLocks` in place of the error of the block, which takes a file lock in the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        reason = "its file system has no file locks: mount it with them (-o flock), or take a local disk"
        raise NoLocks(errno.ENOLCK, reason, str(folder)) from None


# Of the process, its machine or the network: they say nothing about a file, and may be gone the next time.
# EIO is not among them: a disk has it where it is damaged.
_PASSING = {
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ESTALE,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN,
    errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET,
}  # fmt: skip


def raise_passing(error: BaseException) -> None:
    """Raises an error of reading again, or its cause, if it may pass.

    For whoever takes a file that cannot be read for a damaged or missing one: such an error tells neither.
    """
    for found in (error, error.__cause__):
        if isinstance(found, OSError) and found.errno in _PASSING:
            raise found


def files_under(folder: Path) -> list[Path]:
    """The files in a folder and in all folders below, sorted; none if there is no such folder.

    Unlike `Path.rglob`, which leaves out what it cannot list since Python 3.12, it raises `OSError` where a
    folder cannot be listed for a reason that may pass.
    """
    walk = os.walk(folder, onerror=raise_passing)
    return sorted(Path(place, name) for place, _, names in walk for name in names)


def fsync(path: Path) -> None:
    """Flushes a file, or the names in a folder, to the disk; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_all(folder: Path) -> None:
    """Flushes all files in a folder and below, and the names in all these folders; raises `OSError`."""

    def fail(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            fsync(Path(place, name))
        fsync(Path(place))


def files_in(folder: Path) -> list[Path]:
    """The files in a folder, sorted; none if there is no such folder or it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_file())
    except OSError as error:
        raise_passing(error)
        return []


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in little memory; empty if the file cannot be read.

    A file is hashed once in a process, and again only after its size, times or inode changed.

    Raises:
        OSError: the file could not be read for a reason that may pass; see `raise_passing`.
    """
    try:
        before = stamp(path)
        if known := _known(path, before):
            return known
        with path.open("rb") as file:
            return _keep(path, before, hash_of_content(file))
    except OSError as error:
        raise_passing(error)
        return ""


def hash_of_content(file: IO[bytes]) -> str:
    """SHA-256 of what is left to read of an open file, in little memory."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def read_and_hash(path: Path, read: Callable[[Path], bytes]) -> tuple[bytes, str]:
    """The content of a file and its SHA-256, which is cached as by `hash_of`.

    Args:
        path: the file to read.
        read: function that reads the file; its exceptions pass through.
    """
    before = stamp(path)
    content = read(path)
    known = _known(path, before) if before == stamp(path) else None
    return content, known or _keep(path, before, hashlib.sha256(content).hexdigest())


def stamp(path: Path) -> Stamp:
    """Size, times, inode and device of a file (ctime changes even if mtime is set back); empty: no file."""
    try:
        found = path.stat()
    except OSError:  # reading the file will raise the error
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_ctime_ns


def _known(path: Path, now: Stamp) -> str | None:
    kept = _hashes.get(path)
    return kept[1] if kept and kept[0] == now else None


def _keep(path: Path, before: Stamp, sha256: str) -> str:
    """Caches a hash, unless the file changed while it was read or too recently to tell by its timestamps."""
    if before and before == stamp(path) and time.time_ns() - before[-1] > _TICK:
        _hashes[path] = before, sha256
    return sha256
