"""Hands a run on to an MLflow server: settings, metrics, learning curves, tags, report and model card.

It may be repeated: the run there is found by its tags, and gets what it lacks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipeline.history.record import FINISHED, REPORT, SUMMARY, moment
from pipeline.history.runs import Run
from pipeline.history.summary import RunSummary
from pipeline.publishing.mlflow_answers import (
    Experiment,
    ExperimentFound,
    Metric,
    Pair,
    RunCreated,
    RunsFound,
    RunThere,
)
from pipeline.publishing.mlflow_server import ALREADY_THERE, NOT_THERE, MlflowServer, ServerError
from pipeline.report.artifacts import Missing, RunArtifacts
from pipeline.report.training import steps_of
from pipeline.root import Root
from unet.registry.records import CARDS

RUN_ID, ROOT = "unet.run_id", "unet.root"  # tags by which a run is found again
# What the interface takes in one request, and in one value of any version of MLflow.
MOST_PARAMS, MOST_METRICS, MOST_TAGS = 100, 1000, 100
MOST_IN_PARAM, MOST_IN_TAG, _MOST_IN_NAME = 500, 5000, 250
_STATUS = {"running": "RUNNING", "waiting": "RUNNING", "interrupted": "KILLED", "killed": "KILLED"}
_PROXIED = "mlflow-artifacts"
_NOT_IN_NAMES = re.compile(r"[^\w./ -]")
_PAGE = 100
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What came of an export: the page of the run, whether it is new there, and notes for the user."""

    page: str
    is_new: bool
    notes: list[str]


def export(server: MlflowServer, experiment: str, root: Root, run: Run, summary: RunSummary) -> Exported:
    """Creates the run on the server, or completes the one that is there.

    Args:
        server: the MLflow server.
        experiment: name of the experiment there; it is created if missing.
        root: root folder of the run.
        run: the run.
        summary: the summary of the run.

    Raises:
        ServerError: the server gave no answer, or refused.
        OSError: a file of the run cannot be read.
    """
    experiment_id = _experiment(server, experiment)
    found = _find(server, experiment_id, root, run)
    tags, start = _tags(root, run, summary), _milliseconds(run.started)
    entry = found or server.read(RunCreated, server.post(
        "mlflow/runs/create", experiment_id=experiment_id, run_name=run.id, start_time=start,
        tags=_pairs({RUN_ID: run.id, ROOT: str(root.path)}),
    )).run  # fmt: skip
    run_id = entry.info.run_id
    known = {param.key for param in entry.data.params}
    params = {name: value for name, value in _params(run).items() if name not in known}
    for some in _parts(_pairs(params), MOST_PARAMS):
        server.post("mlflow/runs/log-batch", run_id=run_id, params=some)
    for some in _parts(_pairs(tags), MOST_TAGS):
        server.post("mlflow/runs/log-batch", run_id=run_id, tags=some)
    artifacts = RunArtifacts(root, run)
    there = {metric.key: metric for metric in entry.data.metrics}
    for points in _parts(_new_points(_metrics(artifacts, summary, start), there), MOST_METRICS):
        server.post("mlflow/runs/log-batch", run_id=run_id, metrics=points)
    notes = _upload(server, entry.info.artifact_uri, run, summary)
    status = _STATUS.get(run.status, "FINISHED" if run.status in FINISHED else "FAILED")
    end = {} if status == "RUNNING" else {"end_time": start + round(1000 * run.seconds)}
    server.post("mlflow/runs/update", run_id=run_id, status=status, **end)
    return Exported(f"{server.url}/#/experiments/{experiment_id}/runs/{run_id}", found is None, notes)


def _experiment(server: MlflowServer, name: str) -> str:
    """The id of an experiment, which is created if missing."""
    for _ in range(2):  # somebody else may create it meanwhile
        try:
            answer = server.get("mlflow/experiments/get-by-name", experiment_name=name)
            found = server.read(ExperimentFound, answer).experiment
        except ServerError as error:
            if error.code != NOT_THERE:
                raise
        else:
            if found.lifecycle_stage == "deleted":
                raise ServerError(
                    f"experiment {name!r} of {server.url} is deleted: restore it there, or name another one "
                    "with --experiment"
                )
            return found.experiment_id
        try:
            created = server.post("mlflow/experiments/create", name=name)
            return server.read(Experiment, created).experiment_id
        except ServerError as error:
            if error.code != ALREADY_THERE:
                raise
    raise ServerError(f"experiment {name!r} of {server.url} comes and goes: try again")


def _find(server: MlflowServer, experiment_id: str, root: Root, run: Run) -> RunThere | None:
    """The run on the server, if an earlier export created it."""
    page: dict[str, str] = {}
    while True:
        # An id holds no quotes; a path may, and is compared here.
        answer = server.read(RunsFound, server.post(
            "mlflow/runs/search", experiment_ids=[experiment_id], max_results=_PAGE,
            filter=f"tags.`{RUN_ID}` = '{run.id}'", **page,
        ))  # fmt: skip
        for found in answer.runs:
            if Pair(key=ROOT, value=_short(str(root.path), MOST_IN_TAG)) in found.data.tags:
                return found
        if not answer.next_page_token:
            return None
        page = {"page_token": answer.next_page_token}


def _params(run: Run) -> dict[str, str]:
    """The settings as texts; a long value is cut, as the summary among the artifacts has it whole."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in run.config.items()
    }
    return {name: _short(text, MOST_IN_PARAM) for name, text in texts.items()}


def _tags(root: Root, run: Run, summary: RunSummary) -> dict[str, str]:
    """What is known of a run beside settings and metrics; a text that is empty is no tag."""
    found = {
        RUN_ID: run.id,
        ROOT: str(root.path),
        "unet.status": run.status,
        "unet.reason": run.reason,
        "unet.verdict": summary.verdict,
        "unet.version": Path(summary.pushed).name,
        "unet.data_hash": summary.data_hash,
        "unet.profile": run.record.profile,
        "unet.command": run.record.command,
        "unet.start": summary.start,
        "unet.learning_rate": summary.learning_rate,
        "unet.warnings": "\n".join(summary.warnings),
        **{f"unet.library.{name}": number for name, number in run.versions.items()},
        "mlflow.source.name": "run_pipeline.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": _note(run, summary),
    }
    return {name: _short(text, MOST_IN_TAG) for name, text in found.items() if text}


def _note(run: Run, summary: RunSummary) -> str:
    """The description on the run's page, in Markdown."""
    reason = f": {run.reason}" if run.reason else ""
    version = f", version {Path(summary.pushed).name}" if summary.pushed else ""
    return f"**{run.status.replace('_', ' ')}**{version}{reason}\n\nThe report is among the artifacts."


def _metrics(artifacts: RunArtifacts, summary: RunSummary, start: int) -> list[dict[str, Any]]:
    """All points of all metrics, the steps of each in their order; times repeat, too."""
    points: list[dict[str, Any]] = []
    try:
        columns = artifacts.curves
    except Missing:
        columns = {}
    steps = [round(step) for step in steps_of(columns)] if columns else []
    for name, values in columns.items():
        if name not in ("validation", "steps"):
            points += [_point(f"training/{name}", v, start, s) for s, v in zip(steps, values, strict=True)]
    points += [_point(f"test/{name}", value, start) for name, value in summary.metrics.items()]
    points += [_point(f"baseline/{name}", value, start) for name, value in summary.baseline.items()]
    points += [_point(f"threshold/{name}", value, start) for name, value in summary.thresholds.items()]
    points += [_point(f"images/{split}", count, start) for split, count in summary.images.items()]
    for name, facts in summary.components.items():
        points.append(_point(f"seconds/{name}", facts.get("seconds"), start))
    points.append(_point("seconds/all", summary.seconds, start))
    points.append(_point("peak_memory_mb", summary.peak_memory_mb or None, start))
    return [point for point in points if point["value"] is not None and math.isfinite(point["value"])]


def _point(name: str, value: float | None, start: int, step: int = 0) -> dict[str, Any]:
    key = _NOT_IN_NAMES.sub("_", name)[:_MOST_IN_NAME].rstrip("/. ")
    return {"key": key, "value": value, "timestamp": start, "step": step}


def _new_points(points: list[dict[str, Any]], there: dict[str, Metric]) -> list[dict[str, Any]]:
    """The points that the run on the server lacks; it tells of each metric the last step and its value."""
    new = []
    for point in points:
        last = there.get(point["key"])
        if last is None or point["step"] > last.step:
            new.append(point)
        elif last.step == point["step"] == 0 and not math.isclose(last.value, point["value"]):
            new.append({**point, "timestamp": last.timestamp + 1})  # of a run that went on: it counts
    return new


def _upload(server: MlflowServer, uri: str, run: Run, summary: RunSummary) -> list[str]:
    """Uploads the files of a run, and returns a sentence for each that is not there."""
    try:
        place = urlsplit(uri)
    except ValueError:  # such as a [ without an end
        place = urlsplit("")
    if place.scheme != _PROXIED:
        raise ServerError(
            f"{server.url} takes no files, it lets clients write to {uri}: start it with --serve-artifacts; "
            "settings, metrics and tags are there already"
        )
    files = [run.folder / REPORT, run.folder / SUMMARY]
    if summary.pushed:
        files += [Path(summary.pushed, name) for name in CARDS]
    missing = [path for path in files if not path.is_file()]
    for path in files:
        if path not in missing:
            server.upload(f"{place.path.strip('/')}/{path.name}", path)
    return [f"{path} is not there and was left out" for path in missing]


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _milliseconds(started: str) -> int:
    """The start of a run since the epoch, 0 if it is not known."""
    when = moment(started)
    return round(1000 * when.timestamp()) if when else 0
