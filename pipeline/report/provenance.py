"""The sections about components, configuration and lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.history import outcome
from pipeline.history.durations import format_duration
from pipeline.history.executions import Artifact, Node
from pipeline.report.artifacts import Missing, RunArtifacts
from pipeline.report.formats import count, megabytes, setting

_STATES = {
    "cached": "not run again: same inputs as run",
    "done": "done",
    "failed": "failed",
    "running": "was running",
    "stopped": "stopped before its end",
    "waiting": "not reached",
}


def components(artifacts: RunArtifacts) -> dict[str, Any]:
    """Builds a row for each component: its result, time and memory."""
    run = artifacts.run
    if not run.nodes:
        raise Missing("No component was started.")
    longest = max((node.seconds for node in run.nodes if node.state != "cached"), default=0) or 1
    return {
        "rows": [_node(node, longest) for node in run.nodes],
        "total": format_duration(run.seconds) if run.seconds else "",
        "peak": megabytes(run.record.peak_memory_mb),
    }


def _node(node: Node, longest: float) -> dict[str, Any]:
    ran = node.state in ("done", "failed", "running", "stopped")
    return {
        "name": node.name,
        "state": _STATES.get(node.state, node.state)
        if node.state != "cached" or node.same_as
        else "not run again",
        "same_as": node.same_as if node.state == "cached" else "",
        "failed": node.state == "failed",
        "seconds": format_duration(node.seconds) if ran and node.seconds else "–",
        "share": round(100 * node.seconds / longest) if ran else 0,
        "memory": megabytes(node.peak_memory_mb) if ran else "–",
    }


def configuration(artifacts: RunArtifacts) -> dict[str, Any]:
    """Lists every setting, those that differ from the defaults first, and the versions of libraries."""
    from pipeline.config.settings import PipelineConfig

    config = artifacts.run.config
    if not config:
        raise Missing("The configuration of this run is not known: its record (run.json) is gone.")
    defaults = PipelineConfig().model_dump(mode="json")
    record = artifacts.run.record
    about = {name: field.description or "" for name, field in PipelineConfig.model_fields.items()}
    rows = [
        {
            "name": name,
            "value": setting(value),
            "default": setting(defaults[name]) if name in defaults else "–",
            "about": about.get(name, ""),
            "changed": name in record.changed,  # before the run resolved automatic values
        }
        for name, value in config.items()
    ]
    return {
        "changed": [row for row in rows if row["changed"]],
        "same": [row for row in rows if not row["changed"]],
        "command": record.command,
        "profile": record.profile,
        "versions": list(artifacts.run.versions.items()),
    }


def lineage_steps(artifacts: RunArtifacts) -> dict[str, Any]:
    """Lists the steps from the data to the pushed version."""
    run = artifacts.run
    steps = []
    if examples := run.artifact("ImageMaskExampleGen", "examples"):
        images = ", ".join(f"{n} {split}" for split, n in outcome.counts(examples).items())
        digest = str(examples.properties.get("fingerprint", ""))
        steps.append(_step("Data", digest[:16], images, examples, run.node("ImageMaskExampleGen")))
    for title, name, key in (
        ("Tiles", "Transform", "transformed_examples"),
        ("Model", "Trainer", "model"),
        ("Evaluation", "Evaluator", "evaluation"),
    ):
        if found := run.artifact(name, key):
            steps.append(_step(title, f"artifact {found.id}", "", found, run.node(name)))
    if blessing := run.artifact("Evaluator", "blessing"):
        blessed = blessing.properties.get("blessed") == 1
        steps.append(_step("Verdict", "blessed" if blessed else "not blessed", "", blessing, None))
    if pushed := run.artifact("Pusher", "pushed_model"):
        where = str(pushed.properties.get("pushed_destination", ""))
        version = where.rstrip("/").rpartition("/")[2]
        steps.append(
            _step(
                "Version", version or "none", "in service" if version else "nothing was pushed", pushed, None
            )
        )
        if where:
            steps[-1]["uri"] = where
    for push in run.pushes:
        if push.reason:  # a promotion by a person
            steps.append(
                {
                    "title": "Version",
                    "value": push.version,
                    "more": push.by,
                    "uri": push.folder,
                    "same_as": "",
                }
            )
    if not steps:
        raise Missing("No component wrote anything.")
    return {"steps": steps, "problems": run.problems}


def _step(title: str, value: str, more: str, artifact: Artifact, node: Node | None) -> dict[str, Any]:
    return {
        "title": title,
        "value": value,
        "more": more,
        "uri": artifact.uri,
        "same_as": node.same_as if node else "",
    }


def describe_data(artifacts: RunArtifacts) -> str:
    """Describes the data by their folder and the number of images; empty if not known."""
    examples = artifacts.run.artifact("ImageMaskExampleGen", "examples")
    words = Path(str(artifacts.run.config.get("data", ""))).name
    if examples:
        images = sum(outcome.counts(examples).values())
        words = f"{words}, {count(images, 'image')}".lstrip(", ")
    return words
