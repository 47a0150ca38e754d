"""The lease of a root: between its parts, a run that is made in parts keeps the root for itself.

While a process works, the lock of the root excludes every other one. The lease is for the time between the
processes; it is written and read under the lock. Where the next part never comes, it expires. The clocks of
two machines may differ: a lease that ends later than twice its duration from now is not believed.
"""

from __future__ import annotations

import dataclasses
import sys
import time

from pipeline.history.record import Unreadable, read_json, write_json
from pipeline.process.lock import Locked
from pipeline.root import Root
from unet.errors import BadInput

_MOST = 525600.0  # minutes, the bound of `lease_minutes`


class Leased(Locked):
    """Another run keeps the root; the message says which one, and until when."""


@dataclasses.dataclass(frozen=True)
class Lease:
    """A lease.

    Attributes:
        run: id of the run that keeps the root.
        stage: the stage that is at work, or comes next.
        expires: end of the lease in seconds since the epoch.
        duration: in minutes.
    """

    run: str
    stage: str
    expires: float
    duration: float

    def is_valid(self, now: float | None = None) -> bool:
        """Whether the lease has not expired; `now` is in seconds since the epoch."""
        return self._left(now) > 0 and not self.is_from_ahead(now)

    def is_from_ahead(self, now: float | None = None) -> bool:
        """Whether its end is farther away than it can be: a clock was set ahead when it was written."""
        return self._left(now) > 2 * 60 * self.duration

    def _left(self, now: float | None) -> float:
        return self.expires - (time.time() if now is None else now)


def read(root: Root) -> Lease | None:
    """Reads the lease of a root; returns None if there is none. Raises `Unreadable`."""
    try:
        values = read_json(root.lease)
    except FileNotFoundError:
        return None
    try:
        # An earlier version did not write the duration: then the longest that can be set.
        duration = min(float(values.get("duration", _MOST)), _MOST)
        return Lease(str(values["run"]), str(values["stage"]), float(values["expires"]), duration)
    except (KeyError, TypeError, ValueError):
        raise Unreadable(f"{root.lease}: not a lease") from None


def renew(root: Root, run_id: str, stage: str, minutes: float) -> None:
    """Keeps the root for a run from now on.

    Args:
        root: root folder, whose lock the caller holds.
        run_id: id of the run.
        stage: the stage that is at work, or comes next.
        minutes: duration of the lease.
    """
    write_json(root.lease, dataclasses.asdict(Lease(run_id, stage, time.time() + 60 * minutes, minutes)))


def end(root: Root) -> None:
    """Ends the lease of a root, if there is one; the caller holds the lock."""
    root.lease.unlink(missing_ok=True)


def require_free(root: Root, run_id: str = "") -> None:
    """Refuses to work on a root that another run keeps; tells of a lease that is not believed.

    Args:
        root: root folder.
        run_id: id of the run that wants to work; empty for a new run.

    Raises:
        Leased: another run keeps the root.
        BadInput: the lease is damaged.
    """
    try:
        found = read(root)
    except Unreadable as error:
        raise BadInput(f"{error}; delete it if no run is being made in parts") from None
    if found is None or found.run == run_id:
        return
    if found.is_from_ahead():
        print(
            f"{root.lease}: run {found.run} would keep the root for longer than {found.duration:g} minutes, "
            "as a clock was ahead when this was written (or is behind now): it is not kept",
            file=sys.stderr,
        )
    elif found.is_valid():
        until = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(found.expires))
        raise Leased(
            f"run {found.run} is made in parts on {root.path}, its part {found.stage} comes next, and it "
            f"keeps the root until {until}"
        )
