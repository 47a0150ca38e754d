"""`run_pipeline.py runs`: lists the runs of a root and the origin of versions. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.commands.parts import goes_on
from pipeline.history import outcome
from pipeline.history.durations import format_duration
from pipeline.history.executions import CACHED, DONE, FAILED, RUNNING, STOPPED, WAITING
from pipeline.history.lineage import Lineage, lineage, run_of_version
from pipeline.history.record import moment
from pipeline.history.runs import HistoryError, Run, load, pushes, runs
from pipeline.history.service import Service, service_of
from pipeline.history.summary import RunSummary, summarize
from pipeline.process.exit_codes import BAD_INPUT, OK
from pipeline.reuse import unchanged
from pipeline.root import Root
from pipeline.terminal.console import make_console, make_table
from pipeline.terminal.verdict import print_verdict

LAST = 20
_FULL = 10_000  # columns if the output is not a terminal: lines need not be wrapped
_METRIC = "foreground_iou"
_LABELS = 11  # columns of the labels before the facts of a run


def list_runs(root: Path, *, everything: bool = False, as_json: bool = False) -> int:
    """Prints a line for each run, the newest last.

    Args:
        root: root folder of the pipeline.
        everything: whether to list all runs instead of the newest 20.
        as_json: whether to print a JSON list.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    try:
        found = runs(root, None if everything else LAST)
    except HistoryError as error:
        return _refuse(error)
    service = _service(root)
    rows = [_row(run, summarize(run), service) for run in found]
    if as_json:
        print(json.dumps(rows, indent=2))
        return OK
    console = _console()
    if not rows:
        console.print(f"{root}: no run was made here yet", soft_wrap=True)
    else:
        _print_table(rows, console)
    if len(rows) == LAST and not everything:
        console.print(f"The newest {LAST}; all of them: runs --all", style="dim", soft_wrap=True)
    if service.newest and not any(row["in_service"] for row in rows):
        console.print(f"In service: {Root.at(root).serving / service.newest}", soft_wrap=True)
    _print_problems(found, console)
    return OK


def show_run(root: Path, run_id: str, version: int | None = None, *, as_json: bool = False) -> int:
    """Prints the details of one run.

    Args:
        root: root folder of the pipeline.
        run_id: id of the run, or "latest".
        version: number of a version; if given, the run that pushed this version is shown instead.
        as_json: whether to print a JSON object.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    sentence = ""
    try:
        if version is None:
            run = load(root, run_id)
        else:
            run, sentence = run_of_version(root, version)
        summary, origin = summarize(run), lineage(root, run)
    except HistoryError as error:
        return _refuse(error)
    if as_json:
        print(json.dumps(_everything(run, summary, origin, _service(root)), indent=2))
        return OK
    console = _console()
    if sentence:
        console.print(sentence[0].upper() + sentence[1:], soft_wrap=True)
    _print_run(run, summary, origin, _state(_row(run, summary, _service(root))), console)
    _print_problems([run], console)
    return OK


def _refuse(error: HistoryError) -> int:
    print(error, file=sys.stderr)
    return BAD_INPUT


def _service(root: Path) -> Service:
    try:
        known = pushes(root)
    except HistoryError:  # the runs tell that ML Metadata cannot be read
        known = []
    return service_of(Root.at(root), known)


def _console() -> Console:
    console = make_console(sys.stdout)
    if not console.is_terminal:
        console.width = _FULL
    return console


def _row(run: Run, summary: RunSummary, service: Service) -> dict[str, Any]:
    version = run.pushes[-1].version if run.pushes else Path(summary.pushed).name
    again, last = unchanged.again(run.folder)
    return {
        "id": run.id,
        "started": run.started,
        "status": run.status,
        "reason": run.reason,
        "data_hash": summary.data_hash,
        "profile": run.record.profile,
        _METRIC: summary.metrics.get(_METRIC),
        "verdict": summary.verdict,
        "version": version,
        "in_service": service.newest if service.holds(version) else "",
        "withdrawn": version in service.withdrawn,
        "promoted": run.pushes[-1].reason if run.pushes else "",
        "seconds": run.seconds,
        "next": goes_on(run),
        "again": again,
        "last_again": last,
        "problems": run.problems,
    }


def _print_table(rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = make_table()
    table.add_column("RUN", no_wrap=True)
    for name in ("DATA", "PROFILE", "IOU", "RESULT", "TIME"):
        table.add_column(name, overflow="fold", justify="right" if name in ("IOU", "TIME") else "left")
    for row in rows:
        cells = (
            row["id"],
            row["data_hash"][:6],
            Path(row["profile"]).stem,
            "" if row[_METRIC] is None else f"{row[_METRIC]:.3f}",
            _result(row),
            format_duration(row["seconds"]),
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    if following := rows[-1]["next"]:  # what an older one left cannot be gone on with
        console.print(f"next: {following}", soft_wrap=True)


def _print_run(run: Run, summary: RunSummary, origin: Lineage, state: str, console: Console) -> None:
    reason = f" ({run.reason})" if run.reason else ""
    console.print(f"Run {run.id}: {run.status.replace('_', ' ')}{reason}", style="bold", soft_wrap=True)
    memory = f", peak memory {summary.peak_memory_mb} MB" if summary.peak_memory_mb else ""
    images = ", ".join(f"{count} {split}" for split, count in summary.images.items())
    changed = " ".join(f"{key}={_short(value)}" for key, value in run.record.changed.items() if key != "data")
    facts = {
        "started": f"{_minute(run.started)}, {format_duration(run.seconds)}{memory}",
        "command": run.record.command,
        "next": goes_on(run),
        "again": _again(*unchanged.again(run.folder)),
        "profile": run.record.profile,
        "settings": changed,
        "data": f"{run.config.get('data', '')}  {summary.data_hash[:16]}".strip(),
        "images": images,
        "tuned": summary.learning_rate,
        "began from": summary.start,
        "with": ", ".join(f"{name} {number}" for name, number in run.versions.items()),
    }
    for name, fact in facts.items():
        if fact:
            console.print(f"  {name:<{_LABELS}}{fact}", soft_wrap=True)
    for warning in summary.warnings:
        console.print(f"  {'warning':<{_LABELS}}{warning}", soft_wrap=True)
    _print_verdict(run, summary, console)
    _print_components(run, console)
    _print_lineage(run, origin, state, console)
    files = [name for name in ("report.html", "summary.json", "log.txt") if (run.folder / name).is_file()]
    if files:
        console.print("\nFiles", style="bold")
        for name in files:
            console.print(f"  {name.partition('.')[0]:<9}{run.folder / name}", soft_wrap=True)


def _print_verdict(run: Run, summary: RunSummary, console: Console) -> None:
    if not summary.verdict:
        return
    console.print()
    if verdict := outcome.verdict(run.nodes, run.problems):
        print_verdict(verdict, console)
        return
    console.print(f"Gate: {summary.verdict.replace('_', ' ')}", style="bold")
    for name, value in summary.metrics.items():
        if name != "example_count":
            console.print(f"  {name:<24} {_number(value)}", soft_wrap=True)


def _print_components(run: Run, console: Console) -> None:
    if run.status != RUNNING and all(node.state == WAITING for node in run.nodes):
        return  # no component began, or the start is not known
    console.print("\nComponents", style="bold")
    table = make_table()
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", justify="right")
    table.add_column(overflow="fold", justify="right")
    for node in run.nodes:
        ended = run.status not in (RUNNING, WAITING)
        state = "not run" if node.state == WAITING and ended else node.state
        same = f"{state} - same inputs as run {node.same_as}" if node.same_as else state
        took = format_duration(node.seconds) if node.state in (DONE, FAILED, RUNNING, STOPPED) else ""
        memory = f"{node.peak_memory_mb} MB" if node.peak_memory_mb and node.state != CACHED else ""
        table.add_row(*map(Text, (f"  {node.name}", same, took, memory)))
    console.print(table)
    console.print("\nArtifacts", style="bold")
    shown: set[int] = set()  # resolvers list artifacts of other components again
    for node in run.nodes:
        for key, artifacts in node.outputs.items():
            for artifact in (artifact for artifact in artifacts if artifact.id not in shown):
                shown.add(artifact.id)
                gone = "" if artifact.path.exists() else "   (its folder is gone)"
                console.print(f"  {artifact.id:>4} {key:<22} {artifact.uri}{gone}", soft_wrap=True)


def _print_lineage(run: Run, origin: Lineage, state: str, console: Console) -> None:
    console.print("\nLineage", style="bold")

    def told(run_id: str) -> str:
        return "this run" if run_id == run.id else f"run {run_id or 'unknown'}"

    if origin.data_hash:
        console.print(f"  data     {origin.data_hash}, read by {told(origin.data_run)}", soft_wrap=True)
    if origin.model_id:
        console.print(f"  model    {origin.model}, trained by {told(origin.model_run)}", soft_wrap=True)
    if origin.version:
        pushed = origin.pushed.replace(f"run {run.id}", "this run")
        console.print(
            f"  version  {', '.join(filter(None, (origin.version, pushed, state)))}", soft_wrap=True
        )
    elif not origin.data_hash:
        console.print("  it came to no data", soft_wrap=True)


def _everything(run: Run, summary: RunSummary, origin: Lineage, service: Service) -> dict[str, Any]:
    row = _row(run, summary, service)
    return {
        **dataclasses.asdict(summary),
        "profile": run.record.profile,
        "command": run.record.command,
        "changed": run.record.changed,
        "nodes": [dataclasses.asdict(node) for node in run.nodes],
        "lineage": dataclasses.asdict(origin),
        "in_service": row["in_service"],
        "withdrawn": row["withdrawn"],
        "problems": run.problems,
    }


def _print_problems(found: Sequence[Run], console: Console) -> None:
    for problem in dict.fromkeys(problem for run in found for problem in run.problems):
        console.print(f"Note: {problem}", soft_wrap=True)


def _minute(started: str) -> str:
    """Formats a recorded time as local time with its zone; returns what is no time as it is."""
    when = moment(started)
    return when.astimezone().strftime("%Y-%m-%d %H:%M %Z") if when else started


def _result(row: dict[str, Any]) -> str:
    result = str(row["status"]).replace("_", " ")
    text = f"{result}{', promoted' if row['promoted'] else ''} {row['version']}".rstrip()
    return ", ".join(filter(None, (text, _state(row), _again(row["again"], row["last_again"]))))


def _again(times: int, last: str) -> str:
    """Says how often nothing had changed since a run; empty if no run has asked."""
    return f"unchanged {times} time{'s' if times > 1 else ''} since, last {_minute(last)}" if times else ""


def _state(row: dict[str, Any]) -> str:
    """Whether the version of a run is in service, maybe as a copy of another number, or withdrawn."""
    if number := row["in_service"]:
        return "in service" if number == row["version"] else f"in service as {number}"
    return "withdrawn" if row["withdrawn"] else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
