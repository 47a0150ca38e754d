"""`runs/<id>/summary.json`: what a person or a scheduler asks first about a run.

A function of the root and the run's id, over `pipeline.history.runs`: it can be made again at any time.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline.history import outcome
from pipeline.history.executions import CACHED, DONE, WAITING
from pipeline.history.record import Unreadable, read_json, write_json
from pipeline.history.runs import Run, load
from unet.training.files import TRIALS

SUMMARY = "summary.json"

ImageStatistics = dict[str, float | None]  # None: could not be measured


@dataclasses.dataclass
class RunSummary:
    """Everything about one run that a person or a scheduler asks for first.

    Attributes:
        status: running, pushed, unchanged, not_blessed, failed, bad_input, interrupted, killed or unknown.
        components: for each finished component, `seconds`, whether it was `cached`, and `peak_memory_mb`.
        images: number of images in each split.
        metrics, baseline: metrics of the candidate and of the last blessed model on the test split.
        verdict: blessed, not_blessed, or empty before the gate.
        learning_rate: what the Tuner chose, and why.
        trials: file with what became of each trial of the search, empty where none was made.
        steps, best_step: of the training, and after which its weights were the best on the eval images.
        start: what the training started from, where a warm start was asked for.
        model: folder of the SavedModel that the Trainer wrote.
        data_hash: fingerprint of the content of the data and its splits.
        pushed: folder of the version that holds the model, or empty.
        warnings: sentences about the data that did not stop the run.
    """

    run_id: str
    config: dict[str, Any]
    started: str = ""
    status: str = "running"
    reason: str = ""
    seconds: float = 0.0
    components: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    metrics: ImageStatistics = dataclasses.field(default_factory=dict)
    baseline: ImageStatistics = dataclasses.field(default_factory=dict)
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    verdict: str = ""
    learning_rate: str = ""
    trials: str = ""
    steps: int = 0
    best_step: int = 0
    start: str = ""
    model: str = ""
    data_hash: str = ""
    pushed: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    peak_memory_mb: int = 0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def summarize(run: Run) -> RunSummary:
    """The summary of a run, also of one that is at work, failed or was killed.

    Where ML Metadata does not know it (any more), the summary that was written at its end counts.
    """
    summary = RunSummary(run.id, run.config, run.started, run.status, run.reason, run.seconds)
    summary.versions, summary.peak_memory_mb = run.versions, run.record.peak_memory_mb
    summary.thresholds = run.config.get("thresholds", {})
    before = _written(run)
    if before and all(node.state == WAITING for node in run.nodes):
        for name in before.keys() - {"status", "reason", "seconds", "started"}:
            setattr(summary, name, before[name])
        return summary
    if loading := run.record.components.get("(loading)"):
        summary.components["(loading)"] = {"seconds": loading["seconds"], "cached": False}
    for node in run.nodes:
        if node.state in (DONE, CACHED):
            row: dict[str, Any] = {"seconds": node.seconds, "cached": node.state == CACHED}
            row |= {"peak_memory_mb": node.peak_memory_mb} if node.peak_memory_mb else {}
            summary.components[node.name] = row
    if examples := run.artifact("ImageMaskExampleGen", "examples"):
        summary.data_hash = examples.text("fingerprint")
        summary.images = outcome.counts(examples)
    if report := run.artifact("DistributionValidator", "report"):
        summary.warnings = report.text("warnings").splitlines()
    if hyperparameters := run.artifact("Tuner", "best_hyperparameters"):
        summary.learning_rate = hyperparameters.text("reason")
    if (trials := run.artifact("Tuner", "tuner_results")) and _lists_trials(Path(trials.uri, TRIALS)):
        summary.trials = str(Path(trials.uri, TRIALS))
    if model := run.artifact("Trainer", "model"):
        summary.model = str(outcome.model_path(model))
        trained = outcome.training(model)
        summary.start = str(trained.get("start", ""))
        summary.steps, summary.best_step = trained.get("steps", 0), trained.get("best_step", 0)
    if blessing := run.artifact("Evaluator", "blessing"):
        summary.verdict = "blessed" if blessing.properties.get("blessed") == 1 else "not_blessed"
    summary.metrics, summary.baseline = _measured(run, before)
    if pushed := run.artifact("Pusher", "pushed_model"):
        summary.pushed = pushed.text("pushed_destination")
    return summary


def write(root: Path, run_id: str) -> RunSummary:
    """Makes the summary of a run and writes it into its folder, whole or not at all.

    Raises:
        HistoryError: there is no such run.
        OSError: it cannot be written.
    """
    run = load(root, run_id)
    summary = summarize(run)
    write_json(run.folder / SUMMARY, dataclasses.asdict(summary))
    return summary


def _measured(run: Run, before: dict[str, Any]) -> tuple[ImageStatistics, ImageStatistics]:
    """Metrics of the model and of the last blessed one."""
    if not run.artifact("Evaluator", "evaluation"):
        return {}, {}
    verdict = outcome.verdict(run.nodes, run.problems)
    if verdict is None:
        return before.get("metrics", {}), before.get("baseline", {})
    count = {"example_count": float(verdict["images"])}
    metrics = {name: found["value"] for name, found in verdict["metrics"].items()}
    if verdict["baseline"]["state"] != "compared":
        return metrics | count, {}
    return metrics | count, {name: found["baseline"] for name, found in verdict["metrics"].items()} | count


def _written(run: Run) -> dict[str, Any]:
    """The fields of the summary that was written at the end of a run."""
    try:
        values = read_json(run.folder / SUMMARY)
    except (FileNotFoundError, Unreadable):
        return {}
    known = {field.name for field in dataclasses.fields(RunSummary)}
    return {name: value for name, value in values.items() if name in known}


def _lists_trials(path: Path) -> bool:
    """Whether the Tuner searched in this run: without a search its list of trials is empty."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
