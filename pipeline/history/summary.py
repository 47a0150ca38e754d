"""`runs/<id>/summary.json`: the main results of a run for users and schedulers.

The summary is computed from `pipeline.history.runs` and can be written again at any time.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline.history import outcome
from pipeline.history.executions import CACHED, DONE, WAITING
from pipeline.history.record import SUMMARY, Unreadable, read_json, require_fields, write_json
from pipeline.history.runs import Run, load
from unet.training.files import TRIALS

# Of the fields and of the exit codes, as docs/reference/summary.md describes them. A new field leaves it;
# one that is gone, has another type or another meaning raises it.
FORMAT_VERSION = 1

ImageStatistics = dict[str, float | None]  # None: could not be measured


@dataclasses.dataclass
class RunSummary:
    """The main results of one run.

    Attributes:
        status: running, waiting, pushed, unchanged, not_blessed, failed, bad_input, interrupted, killed or
            unknown.
        components: for each finished component, `seconds`, whether it was `cached`, and `peak_memory_mb`.
        images: number of images in each split.
        metrics, baseline: metrics of the candidate and of the last blessed model on the test split.
        verdict: blessed, not_blessed, or empty before the gate.
        learning_rate: the learning rate that the Tuner chose, and the reason.
        trials: file with the results of all trials of the search, empty without a search.
        steps, best_step: number of training steps, and the step with the best weights on the eval images.
        declined: whether the last validations of the training were clearly worse than the best one.
        start: the weights that the training started from, if a warm start was requested.
        model: folder of the SavedModel that the Trainer wrote.
        data_hash: fingerprint of the content of the data and its splits.
        pushed: folder of the version that holds the model, or empty.
        warnings: sentences about the data that did not stop the run.
        format_version: version of these fields, by which programs know what to expect.
    """

    run_id: str
    config: dict[str, Any]
    started: str = ""
    status: str = "running"
    reason: str = ""
    seconds: float = 0.0
    components: dict[str, dict[str, float | bool]] = dataclasses.field(default_factory=dict)
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    metrics: ImageStatistics = dataclasses.field(default_factory=dict)
    baseline: ImageStatistics = dataclasses.field(default_factory=dict)
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    verdict: str = ""
    learning_rate: str = ""
    trials: str = ""
    steps: int = 0
    best_step: int = 0
    declined: bool = False
    start: str = ""
    model: str = ""
    data_hash: str = ""
    pushed: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    peak_memory_mb: int = 0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def summarize(run: Run) -> RunSummary:
    """Summarizes a run, also one that is still running, failed or was killed.

    If ML Metadata does not know the run, the values come from the summary of its end.
    """
    summary = RunSummary(run.id, run.config, run.started, run.status, run.reason, run.seconds)
    summary.versions, summary.peak_memory_mb = run.versions, run.record.peak_memory_mb
    summary.thresholds = run.config.get("thresholds", {})
    before = _written(run)
    if before and all(node.state == WAITING for node in run.nodes):
        for name in before.keys() - {"status", "reason", "seconds", "started", "format_version"}:
            setattr(summary, name, before[name])
        return summary
    if loading := run.record.components.get("(loading)"):
        summary.components["(loading)"] = {"seconds": loading.get("seconds", 0.0), "cached": False}
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
        summary.declined = bool(trained.get("declined"))
    if blessing := run.artifact("Evaluator", "blessing"):
        summary.verdict = "blessed" if blessing.properties.get("blessed") == 1 else "not_blessed"
    summary.metrics, summary.baseline = _measured(run, before)
    if pushed := run.artifact("Pusher", "pushed_model"):
        summary.pushed = pushed.text("pushed_destination")
    return summary


def write(root: Path, run_id: str) -> RunSummary:
    """Summarizes a run and replaces the summary in its folder atomically.

    Raises:
        HistoryError: the run does not exist.
        OSError: the file cannot be written.
    """
    run = load(root, run_id)
    summary = summarize(run)
    write_json(run.folder / SUMMARY, dataclasses.asdict(summary))
    return summary


def read(folder: Path) -> RunSummary:
    """Reads the summary in the folder of a run.

    Raises:
        OSError: there is none.
        Unreadable: it is damaged.
    """
    return RunSummary(**require_fields(folder / SUMMARY, read_json(folder / SUMMARY), RunSummary))


def _measured(run: Run, before: dict[str, Any]) -> tuple[ImageStatistics, ImageStatistics]:
    """Returns the metrics of the model and of the last blessed one."""
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
    """Reads the fields of the summary that was written at the end of a run."""
    try:
        return require_fields(run.folder / SUMMARY, read_json(run.folder / SUMMARY), RunSummary)
    except FileNotFoundError:
        return {}
    except Unreadable as error:
        run.problems.append(f"{error}: restore it, or delete it")
        return {}


def _lists_trials(path: Path) -> bool:
    """Whether the list of trials is not empty: the Tuner searched in this run."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, RecursionError, ValueError):
        return False
