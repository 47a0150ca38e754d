"""Memory: what there is, what a part of this process took, its garbage, and kills for lack of memory."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Of a control group, version 2 and 1: its limit, its use, and the part of its use that the kernel gives back.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_MANY = 100  # modules: those of a large library


def reset_peak() -> bool:
    """Counts from now on; False where that is not possible: then there is nothing to be read."""
    try:
        (_PROC / "self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # another system, or a container that may not
        return False
    return True


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Does without the search for garbage within the block, such as the imports of large libraries.

    What they make stays: Python would look through all of it again and again as it grows, and later for each
    full search. Where little was imported, as it was there already, later searches look at all there is: the
    models of a process that runs one command after the other are garbage at last.
    """
    was_on, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) - before > _MANY:
            gc.freeze()
        if was_on:
            gc.enable()


def peak_mb() -> int:
    """The highest resident memory since the last reset, in megabytes; 0 where it is not known."""
    return _values(_PROC / "self/status").get("VmHWM", 0) // 1024


def available() -> int | None:
    """Bytes that this process may still take, of the machine and of its control groups; None: not known."""
    found = _values(_PROC / "meminfo")
    free = []
    if "MemAvailable" in found:
        free.append((found["MemAvailable"] + found.get("SwapFree", 0)) * 1024)
    free += [limit - used for limit, used in _limits()]
    return max(0, min(free)) if free else None


def total() -> int:
    """Bytes that this process could take at most, by the machine and its control groups; 0: not known."""
    found = _values(_PROC / "meminfo")
    machine = (found.get("MemTotal", 0) + found.get("SwapTotal", 0)) * 1024
    return min([machine, *(limit for limit, _ in _limits())])


def kernel_kills() -> int | None:
    """How many processes the kernel killed for lack of memory since the machine's start; None: not known."""
    return _values(_PROC / "vmstat").get("oom_kill")


def machine_start() -> str:
    """A name of this start of this machine; empty where it is not known."""
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _limits() -> Iterator[tuple[int, int]]:
    """Limit and use of each control group that this process is in, in bytes."""
    for folder in _groups():
        for limit, used, spare in _FILES:
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                most = int((folder / limit).read_text(encoding="ascii"))
                taken = int((folder / used).read_text(encoding="ascii"))
                yield most, taken - _values(folder / "memory.stat").get(spare, 0)


def _groups() -> Iterator[Path]:
    """The folders of the control groups, and of those around them; within a container its own is the top."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "" or "memory" in kinds.split(","):
                top = _GROUPS / "memory" if kinds else _GROUPS
                folder = top / path.lstrip("/")
                yield from (place for place in (folder, *folder.parents) if place.is_relative_to(top))


def _values(path: Path) -> dict[str, int]:
    """The numbers in a file of the kernel by their names: `name 1` or `name: 1 kB` a line."""
    found = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, *rest = line.split()[:2] or [""]
            if rest and rest[0].isdigit():
                found[name.rstrip(":")] = int(rest[0])
    return found
