"""Before a run begins: whether the machine can do it, and how much of the machine it takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipeline.check import resources
from pipeline.check.findings import Report
from pipeline.config.settings import PipelineConfig
from pipeline.history import durations, plan
from pipeline.history.record import RunRecord
from pipeline.history.runs import HistoryError, Run, runs
from pipeline.history.store import Misplaced
from pipeline.metadata.place import StoreError
from pipeline.process import log, reserve
from pipeline.process.exit_codes import BAD_INPUT, FAILED, INTERRUPTED
from pipeline.process.lock import Locked
from pipeline.root import Root
from unet.errors import BadInput
from unet.files import NoLocks
from unet.images import capacity

REFUSALS = (Locked, BadInput, HistoryError, Misplaced, StoreError, OSError)  # before a run begins
_RUNS_TO_LEARN_FROM = 10  # how long components take, and why the last one was killed


def earlier(root: Root) -> list[Run]:
    """The last runs under the root, as far as they can be read: a run needs no history."""
    try:
        return runs(root.path, _RUNS_TO_LEARN_FROM)
    except Exception:
        return []


def fits(
    config: PipelineConfig, root: Root, report: Report | None, before: list[Run], console: Console
) -> bool:
    """Whether the machine can do the run; if not, says why. A later part of a run has no `report`."""
    found = list(resources.obstacles(root))
    if not found and report:
        repetition = durations.is_repetition(before, config.model_dump(mode="json"))
        short = list(resources.shortages(report.estimate, root, repetition))
        found, told = (short, []) if config.check_resources else ([], short)
        for sentence in told:
            console.print(f"Warning: {sentence}", soft_wrap=True)
        if short and config.check_resources:
            found.append("(an estimate: --set check_resources=false tries it)")
    for sentence in found:
        console.print(sentence, soft_wrap=True)
    return not found


def choose_plan(record: RunRecord, report: Report | None, before: list[Run], console: Console) -> None:
    """Chooses how much of the machine to take, and says so if it is less than usual.

    A later part of a run has no `report`; its record knows what the first part estimated.
    """
    record.machine = plan.machine()
    if report:
        record.options["memory"] = report.estimate.memory if report.estimate else None
    needed = record.options.get("memory")
    record.smaller_plan, killed = plan.why_smaller(before, record.config, needed, record.machine)
    if killed:
        record.machine["killed"] = killed
    capacity.plan_smaller(bool(record.smaller_plan))
    if record.smaller_plan:
        console.print(f"Smaller plan: {record.smaller_plan}.", soft_wrap=True)
        console.print(
            "One image is read at a time, and each tile is decoded anew: slower, with the same results",
            soft_wrap=True,
        )


def refused(error: Exception, root: Root, console: Console) -> int:
    """Says why a run does not begin, and returns the exit code."""
    if isinstance(error, Locked):
        console.print(f"{error}: wait for it, or give another --root", soft_wrap=True)
        return INTERRUPTED
    if isinstance(error, BadInput):
        print(error, file=sys.stderr)
        return BAD_INPUT
    if isinstance(error, NoLocks):
        console.print(f"{root.path}: {error.strerror}", soft_wrap=True)
        return BAD_INPUT
    if isinstance(error, OSError):
        console.print(f"{root.path}: {error.strerror}: give another --root, or make room", soft_wrap=True)
        reserve.release(root.reserve)
        return FAILED
    console.print(str(error), soft_wrap=True)
    return error.code if isinstance(error, StoreError) else BAD_INPUT


def select(config: PipelineConfig, root: Root, force: Sequence[str] | None, start: str | None) -> set[str]:
    """Returns the names of the components to run anew; raises `BadInput` for a name of none."""
    if force is None and not start:
        return set()
    with log.captured(Path(os.devnull)):  # TensorFlow is talkative
        from pipeline import graph
        from pipeline.engine import runner

    return runner.select(runner.node_names(graph.create_pipeline(config, root)), force, start)
