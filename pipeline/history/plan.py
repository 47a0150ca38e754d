"""Decides whether a run takes the smaller plan of `unet.images.capacity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.history.durations import same_settings
from pipeline.history.runs import KILLED, Run
from pipeline.process import memory

_GROWN = 1.1  # times the memory of then: the whole plan is tried again


def machine() -> dict[str, Any]:
    """What the record of a run keeps of the machine, so that the next run can tell why it was killed."""
    return {
        "start": memory.machine_start(),
        "kernel_kills": memory.kernel_kills(),
        "memory": memory.total(),
    }


def why_smaller(
    before: Sequence[Run], config: Mapping[str, Any], needed: int | None, now: Mapping[str, Any]
) -> tuple[str, str]:
    """Decides on the plan.

    Args:
        before: earlier runs under the root, oldest first.
        config: every setting of the run by its name.
        needed: bytes of memory that the whole plan needs; None: not known.
        now: what `machine` says.

    Returns:
        A sentence that says why the plan is the smaller one, empty for the whole plan; and the id of the run
        that the kernel killed under the whole plan, empty if there is none.
    """
    last = next((run for run in reversed(before) if same_settings(run.config, config)), None)
    if last:
        then = last.record.machine
        first = str(then.get("killed", ""))
        again = _killed_for_memory(last, now)
        # More memory than then is a reason to try the whole plan again.
        if (first or again) and now["memory"] <= then.get("memory", 0) * _GROWN:
            sentence = f"the kernel killed run {first or last.id} for lack of memory"
            if first and again:
                sentence += (
                    f", and run {last.id} under the smaller plan: lower patch_size, batch_size or "
                    "base_filters with --set if it happens again"
                )
            return sentence, first or last.id
    free = memory.available()
    if needed is not None and free is not None and free < needed:
        return "there is less memory than the whole plan needs", ""
    return "", ""


def _killed_for_memory(run: Run, now: Mapping[str, Any]) -> bool:
    """Whether the kernel killed processes for lack of memory since a run began that ended without a word."""
    then = run.record.machine
    if run.status != KILLED or not then:
        return False
    if None in (then.get("kernel_kills"), now["kernel_kills"]):
        return then.get("start") == now["start"]  # nothing tells: assume it
    return bool(then.get("start") == now["start"] and now["kernel_kills"] > then["kernel_kills"])
