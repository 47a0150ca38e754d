"""Before a run begins: whether the machine can do it, and how much of the machine it takes."""

from __future__ import annotations

from rich.console import Console

from pipeline.check import resources
from pipeline.check.findings import Report
from pipeline.config.settings import PipelineConfig
from pipeline.history import durations, plan
from pipeline.history.record import RunRecord
from pipeline.history.runs import Run, runs
from pipeline.root import Root
from unet.images import capacity

_RUNS_TO_LEARN_FROM = 10  # how long components take, and why the last one was killed


def earlier(root: Root) -> list[Run]:
    """The last runs under the root, as far as they can be read: a run needs no history."""
    try:
        return runs(root.path, _RUNS_TO_LEARN_FROM)
    except Exception:
        return []


def fits(config: PipelineConfig, root: Root, report: Report, before: list[Run], console: Console) -> bool:
    """Whether the machine can do the run; if not, says why."""
    found = list(resources.obstacles(root))
    if not found:
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


def choose_plan(record: RunRecord, report: Report, before: list[Run], console: Console) -> None:
    """Chooses how much of the machine to take, and says so if it is less than usual."""
    record.machine = plan.machine()
    needed = report.estimate.memory if report.estimate else None
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
