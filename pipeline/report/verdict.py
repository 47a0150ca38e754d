"""The section about the result of the run: the checks of the gate, or the reason of a failure."""

from __future__ import annotations

from typing import Any

from pipeline.report.artifacts import Missing, RunArtifacts
from pipeline.report.formats import count, format_interval, metric, number, of_each_class, sentence, signed
from unet.evaluation.results import Baseline, Check, Metric, Verdict, decisive_p
from unet.metrics.names import LOWER_IS_BETTER

# Title and style of each status: good, bad, or neither.
STATUSES = {
    "pushed": ("Pushed into service", "good"),
    "unchanged": ("Unchanged: this model is in service already", "good"),
    "not_blessed": ("Not blessed, nothing pushed", "bad"),
    "failed": ("Failed", "bad"),
    "bad_input": ("Stopped: the data cannot be used", "bad"),
    "interrupted": ("Interrupted", "open"),
    "killed": ("Killed", "open"),
    "unknown": ("Nobody knows how it ended", "open"),
    "running": ("Still running", "open"),
    "waiting": ("Waiting for its next part", "open"),
}
EARLY = ("failed", "bad_input", "interrupted", "killed", "unknown")  # of runs that did not come to their end
_KEY_METRICS = 3


def headline(artifacts: RunArtifacts) -> dict[str, Any]:
    """Builds the top of the page: the status in words, its reason, and the main metrics."""
    run = artifacts.run
    words, tone = STATUSES.get(run.status, (run.status.replace("_", " ").capitalize(), "open"))
    try:
        tiles = main_metrics(artifacts.verdict)
    except Exception:  # the section of the verdict reports the damage
        tiles = []
    promoted = [f"Version {push.version} was {push.by}" for push in run.pushes if push.reason]
    return {
        "words": words,
        "tone": tone,
        "reason": sentence(run.reason),
        "promoted": sentence("; ".join(promoted)),
        "tiles": tiles,
    }


def build(artifacts: RunArtifacts) -> dict[str, Any]:
    """Builds the section of the gate; for a run that did not come to its end also the end of the log."""
    ended_early = artifacts.run.status in EARLY
    context: dict[str, Any] = {
        "log": artifacts.log_tail if ended_early else "",
        "log_path": str(artifacts.root.run(artifacts.run.id) / "log.txt"),
        "note": "",
        "demands": "What the gate demands",
        "checks": [],
        "metrics": [],
        "by_class": False,
    }
    try:
        verdict = artifacts.verdict
    except Missing as missing:
        if not ended_early:
            raise
        return context | {"note": f"There is no verdict. {missing}"}
    context |= {
        **measured(verdict),
        "reason": "" if artifacts.run.reason else sentence(verdict["reason"]),
        "baseline": baseline_in_words(verdict["baseline"]),
    }
    return context


def measured(verdict: Verdict) -> dict[str, Any]:
    """Builds the tables of the checks and of all other metrics."""
    classes = verdict["classes"]
    checked = {check["metric"] for check in verdict["checks"] if not check["slice"]}
    left_to_classes = of_each_class(verdict["metrics"], classes)
    return {
        "blessed": verdict["blessed"],
        "compared": any(values["baseline"] is not None for values in verdict["metrics"].values()),
        "images": count(verdict["images"], "test image"),
        "checks": [_check(check, classes) for check in verdict["checks"]],
        "metrics": [
            _metric(name, values, classes)
            for name, values in verdict["metrics"].items()
            if name not in checked and name not in left_to_classes
        ],
        "by_class": bool(left_to_classes),
    }


def baseline_in_words(baseline: Baseline) -> str:
    """Names the model that the candidate was compared with, or says why there was none."""
    why = baseline["why"]
    return f"Compared with {why}." if baseline["state"] == "compared" else sentence(why)


def _check(check: Check, classes: list[str]) -> dict[str, Any]:
    lower = check["metric"] in LOWER_IS_BETTER
    if check["kind"] == "threshold":
        bound = f"{'at most' if lower else 'at least'} {number(check['bound'])}"
    else:
        bound = f"at most {number(check['bound'])} {'higher' if lower else 'lower'} than before"
    return {
        "metric": metric(check["metric"], classes),
        "slice": check["slice"],
        "images": check["images"],
        "value": number(check["value"], 4),
        "interval": format_interval(check["low"], check["high"]),
        "of": "change" if check["kind"] == "drop" else "",
        "bound": bound,
        "baseline": number(check["baseline"], 4),
        "margin": signed(check["margin"], 4),
        "p": "" if (p := decisive_p(check)) is None else f"p = {number(p)}",
        "chance": check["by_chance"],
        "passed": check["passed"],
    }


def _metric(name: str, values: Metric, classes: list[str]) -> dict[str, str]:
    return {
        "metric": metric(name, classes),
        "value": number(values["value"], 4),
        "interval": format_interval(values["low"], values["high"]),
        "baseline": number(values["baseline"], 4),
        "difference": signed(difference(values["value"], values["baseline"]), 4),
    }


def difference(value: float | None, before: float | None) -> float | None:
    """Returns the difference of two values, or None if one of them is not known."""
    return None if value is None or before is None else value - before


def main_metrics(verdict: Verdict) -> list[dict[str, str]]:
    """Returns the main metrics in large type."""
    asked = (check["metric"] for check in verdict["checks"])
    names = list(dict.fromkeys(["foreground_iou", *asked, "pixel_error"]))
    means = [verdict["metrics"].get(name) for name in ("foreground_iou", "mean_iou")]
    if "mean_iou" in names and means[0] == means[1]:  # as they are without a background
        names.remove("foreground_iou")
    tiles = []
    for name in names[:_KEY_METRICS]:
        values = verdict["metrics"].get(name)
        if values:
            change = difference(values["value"], values["baseline"])
            tiles.append(
                {
                    "label": metric(name, verdict["classes"]),
                    "value": number(values["value"]),
                    "interval": format_interval(values["low"], values["high"]),
                    "change": "" if change is None else f"{signed(change)} against the last blessed model",
                }
            )
    tiles.append({"label": "Test images", "value": f"{verdict['images']:,}", "interval": "", "change": ""})
    return tiles
