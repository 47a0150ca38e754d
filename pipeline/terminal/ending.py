"""The end of a run: what an exception means to a person, what was kept, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from pipeline import stages
from pipeline.history.durations import format_duration
from pipeline.history.record import RunRecord
from pipeline.history.summary import RunSummary
from pipeline.root import Root
from pipeline.terminal.command import command, in_checkout, part_command
from pipeline.terminal.verdict import print_verdict
from unet.evaluation.results import Verdict
from unet.masks.background import foreground

_EARLY = 0.7  # part of the steps; a schedule that falls to 0 has its best validations at the end


def print_end(
    summary: RunSummary,
    record: RunRecord,
    finished: int,
    root: Root,
    folder: Path,
    console: Console,
    verdict: Verdict | None = None,
) -> None:
    """Says what came of a run, and what to do next.

    Args:
        summary: of the run.
        record: of the run.
        finished: number of components that are.
        root: where everything is.
        folder: of the run.
        console: to print to.
        verdict: of the gate, if the run came so far.
    """
    if verdict:
        print_verdict(verdict, console)
    for warning in summary.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True)
    lines = {
        "pushed": f"Pushed {summary.pushed}",
        "unchanged": f"Unchanged: {summary.pushed} is this model already",
        "not_blessed": "Not pushed"
        if verdict and verdict["reason"] == summary.reason
        else f"Not pushed: {summary.reason}",
        "waiting": f"Done: {record.stage}",
        "failed": f"Failed: {summary.reason}",
        "bad_input": f"Bad input: {summary.reason}",
        "interrupted": f"Interrupted: {summary.reason}. {_kept(finished, len(record.nodes), root)}",
    }
    line = lines.get(summary.status, summary.status)
    console.print(f"{line}   ({format_duration(summary.seconds)})", soft_wrap=True)
    for hint in _hints(summary, record, root, folder, verdict):
        console.print(hint, soft_wrap=True)


def _kept(finished: int, total: int, root: Root) -> str:
    """What a run that was stopped leaves for the next one."""
    parts = [f"{finished} of {total} components"] if finished else []
    steps = [int(path.stem.rpartition("-")[2]) for path in root.checkpoints.glob("*/step-*.npz")]
    if steps:
        parts.append(f"the training up to step {max(steps)}")
    elif any(root.checkpoints.glob("search-*/trial_*")):
        parts.append("the finished trials of the search")
    return f"Kept: {' and '.join(parts)}." if parts else "Nothing was finished yet."


def _hints(
    summary: RunSummary, record: RunRecord, root: Root, folder: Path, verdict: Verdict | None
) -> list[str]:
    predict = f"  predict   {command('predict', 'IMAGES', '--out', 'MASKS')}"
    hints = [f"  summary   {folder / 'summary.json'}"]
    if summary.pushed:
        option, serve = "", "make serve"
        if root.path != Root.at(Path("runs")).path:
            option = f" --root {shlex.quote(str(root.path))}"
            models = shlex.quote(str(root.serving))
            serve = f"make setup-serving && .venv-serving/bin/python -m serving --model-dir {models}"
        hints = [f"{predict}{option}", f"  serve     {in_checkout(serve)}", *hints, *_weakest(summary)]
    elif summary.status == "not_blessed":
        hints = [f"{predict} --model {shlex.quote(str(summary.model))}", *hints, *_weakest(summary)]
        hints.append(f"  next      {_next(summary, record, verdict)}")
    elif summary.status == "interrupted":
        hints = [f"  go on     {record.command}", *hints]
    elif summary.status == "waiting":
        following = part_command(stages.after(record.stage), record.run_id, record.arguments)
        hints.append(f"  next      {following}")
    elif summary.status == "failed":
        hints = [f"  log       {folder / 'log.txt'}", *hints]
        hints.append("  next      mend it and run the same command: what was finished is kept")
    if summary.trials:
        hints.append(f"  trials    {summary.trials}")
    return hints


def _next(summary: RunSummary, record: RunRecord, verdict: Verdict | None) -> str:
    if verdict and verdict["baseline"]["state"] == "incomparable":  # training cannot change that
        again = command("run", *record.arguments) if record.stage else record.command
        return f"{again} --rebaseline"
    return f"{_longer(summary)}, or lower the gate (--set 'thresholds={{...}}')"


def _longer(summary: RunSummary) -> str:
    """Whether more steps seem to help: not where the validations were best long before the end.

    Of a network that finds nothing yet the first validation is the best.
    """
    if summary.metrics.get("foreground_iou") and 0 < summary.best_step <= _EARLY * summary.steps:
        return (
            f"the weights were best after {summary.best_step:,} of {summary.steps:,} steps, so more may not "
            "help: add images like the worst ones of the report"
        )
    return "train longer (--set steps=...)"


def _weakest(summary: RunSummary) -> list[str]:
    """The class that pulls the means down, where there are several beside the background."""
    classes = foreground(list(summary.config.get("classes", {})), summary.config.get("background", "auto"))
    values = {name: summary.metrics.get(f"iou_{name}") for name in classes}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return []
    name = min(known, key=known.__getitem__)
    parts = ((kind, summary.metrics.get(f"{kind}_{name}")) for kind in ("precision", "recall"))
    rest = "".join(f", {kind} {value:.2f}" for kind, value in parts if value is not None)
    return [f"  weakest   {name}: IoU {known[name]:.2f}{rest}; docs/how-to/rare-class.md says what to try"]
