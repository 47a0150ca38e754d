"""Ids of runs, which a user may choose.

Those that are made here are the start in UTC, such as `20261125-020000Z`, so their order is that of the runs.

Local time would run backwards in autumn, and with a scheduler that has another time zone than the user. Where
the clock itself went back, a counter makes the id later than all others: `20261125-020000Z-02`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime, timezone

_ID = re.compile(r"(\d{8}-\d{6}Z)(?:-(\d+))?", re.ASCII)
_SAFE = re.compile(r"[a-z0-9][a-z0-9._:+@-]{0,127}", re.ASCII | re.IGNORECASE)
_MOMENT = "%Y%m%d-%H%M%SZ"


def refusal(run_id: str) -> str:
    """Explains why a text cannot be the id of a run; empty if it can."""
    if run_id == "latest":
        return "latest is the newest run, whatever its id: choose another one"
    if not _SAFE.fullmatch(run_id):
        return (
            f"{run_id!r}: an id names a folder: at most 128 letters, digits and . _ : + @ -, the first a "
            "letter or a digit"
        )
    return ""


def is_made(run_id: str) -> bool:
    """Whether an id has the form of those that `next_id` makes."""
    return bool(_ID.fullmatch(run_id))


def order(run_id: str, started: datetime | None = None) -> tuple[str, int, str]:
    """Returns the key that sorts ids of runs, oldest first.

    Args:
        run_id: the id.
        started: start of the run, which places an id that a user chose; without one it comes before all
            others.
    """
    if found := _ID.fullmatch(run_id):
        return found[1], int(found[2] or 1), run_id
    return (started.astimezone(timezone.utc).strftime(_MOMENT), 1, run_id) if started else ("", 0, run_id)


def next_id(existing: Iterable[str], now: float | None = None) -> str:
    """Creates the id of a run that begins now; it is later than every existing one, whatever the clock says.

    Args:
        existing: ids of all runs under the root.
        now: seconds since the epoch; None: the current time.
    """
    moment = time.strftime(_MOMENT, time.gmtime(now))
    newest, count, _ = max(map(order, existing), default=("", 0, ""))
    return moment if moment > newest else f"{newest}-{count + 1:02d}"
