"""Ids of runs: the start in UTC, such as `20261125-020000Z`, so their order is the order of the runs.

Local time would run backwards in autumn, and with a scheduler that has another time zone than the user. Where
the clock itself went back, a counter makes the id later than all others: `20261125-020000Z-02`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

_ID = re.compile(r"(\d{8}-\d{6}Z)(?:-(\d+))?", re.ASCII)


def order(run_id: str) -> tuple[str, int, str]:
    """Returns the key that sorts ids of runs, oldest first; names of another form come before all ids."""
    found = _ID.fullmatch(run_id)
    return (found[1], int(found[2] or 1), run_id) if found else ("", 0, run_id)


def next_id(existing: Iterable[str], now: float | None = None) -> str:
    """Creates the id of a run that begins now; it is later than every existing one, whatever the clock says.

    Args:
        existing: ids of all runs under the root.
        now: seconds since the epoch; None: the current time.
    """
    moment = time.strftime("%Y%m%d-%H%M%SZ", time.gmtime(now))
    newest, count, _ = max(map(order, existing), default=("", 0, ""))
    return moment if moment > newest else f"{newest}-{count + 1:02d}"
