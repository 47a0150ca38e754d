"""How long the components of a run will take, from how long they took before; durations in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.history.executions import DONE
from pipeline.history.runs import Run

# The time of these depends on settings more than on anything else: only runs with the same ones tell.
_BY_SETTINGS = ("Tuner", "Trainer")
_FINISHED = ("pushed", "unchanged", "not_blessed")


def expected(runs: Sequence[Run], config: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of each component, from the newest run in which it worked; of the others nothing is known.

    Args:
        runs: earlier ones, oldest first.
        config: every setting of the new run.
    """
    found: dict[str, float] = {}
    for run in runs:
        same = _same(run.config, config)
        for node in run.nodes:
            if node.state == DONE and (same or node.name not in _BY_SETTINGS):
                found[node.name] = node.seconds
    return found


def is_repetition(runs: Sequence[Run], config: Mapping[str, Any]) -> bool:
    """Whether a run with these settings came to an end before: with the same data, all is in the cache."""
    return any(run.status in _FINISHED and _same(run.config, config) for run in runs)


def left(
    waiting: Iterable[str],
    seconds: Mapping[str, float],
    at_work: str = "",
    worked: float = 0.0,
    share: float | None = None,
) -> float | None:
    """Seconds until all is done; None where that cannot be told.

    Args:
        waiting: components that are still to come.
        seconds: what is expected of each.
        at_work: the component that works, if one does.
        worked: for how long.
        share: how much of its work is done, 0 to 1, where it says so.
    """
    parts = [seconds.get(name) for name in waiting]
    if at_work:
        usual = seconds.get(at_work)
        by_share = worked / share - worked if share else None
        # At the start a component prepares; its own count is better later.
        if by_share is not None and (usual is None or share > 0.2):  # type: ignore[operator]
            parts.append(by_share)
        else:
            parts.append(None if usual is None else max(usual - worked, 0.0))
    return None if None in parts else sum(part for part in parts if part is not None)


def format_duration(seconds: float) -> str:
    """A duration for people: 3.2 s, 45 s, 4 min 54 s, 2 h 1 min."""
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return {**before, "data": None} == {**now, "data": None}
