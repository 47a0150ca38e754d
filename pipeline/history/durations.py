"""Estimates how long the components of a run will take from earlier runs; formats durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.history.executions import DONE
from pipeline.history.record import FINISHED
from pipeline.history.runs import Run

# The duration of these depends mostly on the settings: only runs with the same settings are comparable.
_BY_SETTINGS = ("Tuner", "Trainer")


def expected(runs: Sequence[Run], config: Mapping[str, Any]) -> dict[str, float]:
    """Returns the seconds of each component in the newest run that executed it; omits the others.

    Args:
        runs: earlier runs, oldest first.
        config: every setting of the new run.
    """
    found: dict[str, float] = {}
    for run in runs:
        same = same_settings(run.config, config)
        for node in run.nodes:
            if node.state == DONE and (same or node.name not in _BY_SETTINGS):
                found[node.name] = node.seconds
    return found


def is_repetition(runs: Sequence[Run], config: Mapping[str, Any]) -> bool:
    """Whether a run with these settings finished before: with the same data, every output is cached."""
    return any(run.status in FINISHED and same_settings(run.config, config) for run in runs)


def left(
    waiting: Iterable[str],
    seconds: Mapping[str, float],
    at_work: str = "",
    worked: float = 0.0,
    share: float | None = None,
) -> float | None:
    """Estimates the seconds until the end of the run; None if there is no estimate.

    Args:
        waiting: names of the components that have not begun.
        seconds: expected seconds of each component.
        at_work: name of the running component, or empty.
        worked: seconds since the running component began.
        share: finished share of its work, 0 to 1, or None if the component does not report it.
    """
    parts = [seconds.get(name) for name in waiting]
    if at_work:
        usual = seconds.get(at_work)
        by_share = worked / share - worked if share else None
        # A component starts with preparation: its own progress is a good estimate only later.
        if by_share is not None and (usual is None or share > 0.2):  # type: ignore[operator]
            parts.append(by_share)
        else:
            parts.append(None if usual is None else max(usual - worked, 0.0))
    return None if None in parts else sum(part for part in parts if part is not None)


def format_duration(seconds: float) -> str:
    """Formats a duration: 3.2 s, 45 s, 4 min 54 s, 2 h 1 min."""
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def same_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two configurations are the same, but for the folder of the data."""
    return {**before, "data": None} == {**now, "data": None}
