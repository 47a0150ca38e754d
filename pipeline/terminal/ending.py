"""The end of a run: what an exception means to a person, what was kept, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipeline import stages
from pipeline.history.durations import format_duration
from pipeline.history.record import RunRecord
from pipeline.history.summary import RunSummary
from pipeline.retention.removal import is_complete
from pipeline.root import Root
from pipeline.terminal.command import command, in_checkout, is_checkout, part_command
from pipeline.terminal.verdict import print_verdict
from unet.evaluation.results import Check, Verdict
from unet.masks.background import foreground

_EARLY = 0.7  # part of the steps; a schedule that falls to 0 has its best validations at the end
_DEAD = 0.005  # an IoU below reads 0.00
_RARE_CLASS = "docs/how-to/rare-class.md says what to try"
_TRAIN_LONGER = "train longer (--set steps=...)"
# What makes the gate ask for less, by the kind of the check that was missed.
_GATE = {
    "threshold": "lower the gate (--set 'thresholds={...}')",
    "drop": "allow a larger drop (--set max_drop=...)",
}


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
    found = [path for path in root.checkpoints.glob("*/step-*.npz") if not is_complete(path.parent)]
    steps = [int(path.stem.rpartition("-")[2]) for path in found]
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
        served = in_checkout(serve) if is_checkout() else "from a checkout: the server is not installed"
        hints = [f"{predict}{option}", f"  serve     {served}", *hints, *_weakest(summary)]
    elif summary.status == "not_blessed":
        hints = [f"{predict} --model {shlex.quote(str(summary.model))}", *hints, *_weakest(summary)]
        if advice := _next(summary, record, verdict):
            hints.append(f"  next      {advice}")
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
    return [*_not_found(summary), *hints]


def _next(summary: RunSummary, record: RunRecord, verdict: Verdict | None) -> str:
    """What may make the gate bless the next model, by what this one missed; empty if nothing can be said."""
    if verdict is None or verdict["blessed"]:  # damaged, or the model was withdrawn
        return ""
    missed = [check for check in verdict["checks"] if not check["passed"]]
    if verdict["baseline"]["state"] != "incomparable":
        return _after_misses(summary, missed)
    again = command("run", *record.arguments) if record.stage else record.command
    rebaseline = f"{again} --rebaseline"  # training cannot change that
    return f"{_after_misses(summary, missed)}; then {rebaseline}" if missed else rebaseline


def _after_misses(summary: RunSummary, missed: Sequence[Check]) -> str:
    kinds = {check["kind"] for check in missed}
    gate = [_GATE[kind] for kind in _GATE if kind in kinds]
    if not _dead(summary) and all(check["value"] is None for check in missed):
        return f"add test images that show what could not be measured, or {' and '.join(gate)}"
    return ", or ".join([_training(summary, missed), *gate])


def _training(summary: RunSummary, missed: Sequence[Check]) -> str:
    """What to do about the model. That more steps may not help is only said where the curves show it."""
    if not summary.metrics.get("foreground_iou"):  # of a network that finds nothing yet
        return _TRAIN_LONGER
    if _dead(summary):
        return f"{_TRAIN_LONGER}, with what docs/how-to/rare-class.md says of classes that are not found"
    if all(map(_may_be_noise, missed)):
        return (
            "add test images (each threshold that was missed lies within its 95 % interval, so others may "
            f"decide otherwise), or {_TRAIN_LONGER}"
        )
    if not 0 < summary.best_step <= _EARLY * summary.steps:
        return _TRAIN_LONGER
    worse = (
        f"the weights were best after {summary.best_step:,} of {summary.steps:,} steps and clearly worse "
        "later, so more may not help: "
    )
    return f"{worse if summary.declined else ''}add images like the worst ones of the report"


def _may_be_noise(check: Check) -> bool:
    """Whether a threshold was missed by so little that other test images may decide otherwise."""
    low, high = check["low"], check["high"]
    return check["kind"] == "threshold" and None not in (low, high) and low <= check["bound"] <= high  # type: ignore[operator]


def _ious(summary: RunSummary) -> dict[str, float]:
    """The IoU of each class that counts and could be measured."""
    classes = foreground(list(summary.config.get("classes", {})), summary.config.get("background", "auto"))
    values = {name: summary.metrics.get(f"iou_{name}") for name in classes}
    return {name: value for name, value in values.items() if value is not None}


def _dead(summary: RunSummary) -> list[str]:
    """The classes of several that the model does not find at all."""
    known = _ious(summary)
    return [name for name, value in known.items() if value < _DEAD] if len(known) > 1 else []


def _not_found(summary: RunSummary) -> list[str]:
    if not (dead := _dead(summary)):
        return []
    share = f"{len(dead)} of {len(_ious(summary))} classes"
    return [f"  not found {', '.join(dead)}: {share} with an IoU of 0.00; {_RARE_CLASS}"]


def _weakest(summary: RunSummary) -> list[str]:
    """The class that pulls the means down, where there are several beside the background."""
    known = _ious(summary)
    if len(known) < 2 or _dead(summary):
        return []
    name = min(known, key=known.__getitem__)
    parts = ((kind, summary.metrics.get(f"{kind}_{name}")) for kind in ("precision", "recall"))
    rest = "".join(f", {kind} {value:.2f}" for kind, value in parts if value is not None)
    return [f"  weakest   {name}: IoU {known[name]:.2f}{rest}; {_RARE_CLASS}"]
