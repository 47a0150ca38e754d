"""The highest memory of this process since a moment of our choice, where the kernel tells it (Linux)."""

from __future__ import annotations

from pathlib import Path

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak() -> bool:
    """Counts from now on; False where that is not possible: then there is nothing to be read."""
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:  # another system, or a container that may not
        return False
    return True


def peak_mb() -> int:
    """The highest resident memory since the last reset, in megabytes; 0 where it is not known."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)
