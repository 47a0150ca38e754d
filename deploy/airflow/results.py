"""What a run came to, as its folder tells: without TensorFlow, and without a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.root import Root

_TOLD = ("status", "reason", "verdict", "metrics", "baseline", "thresholds", "images", "warnings", "seconds")


def of_run(root: Path, run_id: str) -> dict[str, Any]:
    """Returns the verdict, figures and links of a run, as they become the result of a task.

    Args:
        root: root folder of the pipeline.
        run_id: id of the run.

    Returns:
        The main values of `summary.json`, empty where it does not exist yet, and the paths of what to read.
    """
    folder = Root.at(root).run(run_id)
    summary = _read(folder / "summary.json")
    result = {name: summary[name] for name in _TOLD if name in summary}
    links = {name: folder / file for name, file in (("report", "report.html"), ("log", "log.txt"))}
    result |= {name: str(path) for name, path in links.items() if path.is_file()}
    return {"run": run_id, **result, "pushed": summary.get("pushed", "")}


def is_in_service(root: Path, run_id: str) -> bool:
    """Whether the model of a run is the newest version already, so that nothing would be pushed.

    Args:
        root: root folder of the pipeline.
        run_id: id of the run.
    """
    place = Root.at(root)
    newest = _read(place.serving / "latest.json").get("path")
    model = _read(place.run(run_id) / "summary.json").get("model")
    if not newest or not model:
        return False
    summaries = map(_read, place.run(run_id).parent.glob("*/summary.json"))
    return any(s.get("model") == model and Path(s.get("pushed", "")).name == newest for s in summaries)


def as_markdown(result: dict[str, Any]) -> str:
    """Writes the result of a run for a person who has to decide.

    Args:
        result: what `of_run` returned.
    """
    lines = [f"Run `{result['run']}`: **{result.get('verdict', 'no verdict').replace('_', ' ')}**", ""]
    if metrics := result.get("metrics"):
        lines += ["| metric | this model | in service |", "|---|---|---|"]
        before = result.get("baseline") or {}
        lines += [
            f"| {name} | {_number(value)} | {_number(before.get(name))} |" for name, value in metrics.items()
        ]
    lines += ["", *(f"- {warning}" for warning in result.get("warnings", ()))]
    return "\n".join([*lines, "", f"Report: `{result.get('report', 'none')}`"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
