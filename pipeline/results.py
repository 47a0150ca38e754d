"""From the artifacts of finished components to the summary of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.utils import path_utils

from components import evaluator
from components.example_gen.sample import SPLITS
from components.run_files import TRIALS, TRIALS_PLOT
from components.versions import training_record
from pipeline.data_page import write_page
from pipeline.runner import NodeFailed, NodeResult
from pipeline.summary import Summary


def add(summary: Summary, result: NodeResult) -> None:
    """Adds to the summary what a finished node says; raises `NodeFailed` when images were lost on the way."""
    summary.components[result.name] = {"seconds": round(result.seconds, 1), "cached": result.cached}
    if examples := _first(result, "examples"):
        summary.data_hash = _text(examples, "fingerprint")
        summary.images = _counts(examples)
    if report := _first(result, "report"):
        summary.warnings = _text(report, "warnings").splitlines()
    if hyperparameters := _first(result, "best_hyperparameters"):
        summary.learning_rate = _text(hyperparameters, "reason")
    if (trials := _first(result, "tuner_results")) and Path(trials.uri, TRIALS_PLOT).is_file():
        summary.trials, summary.trials_plot = str(Path(trials.uri, TRIALS)), str(Path(trials.uri, TRIALS_PLOT))
    if result.name == "Trainer" and (model := _first(result, "model")):
        summary.model = path_utils.serving_model_path(model.uri)
        summary.start = _start(model)
    if evaluation := _first(result, "evaluation"):
        summary.metrics = evaluator.read_metrics(evaluation.uri)
        summary.baseline = evaluator.read_metrics(evaluation.uri, tfma.BASELINE_KEY)
        if summary.metrics["example_count"] != summary.images["test"]:
            found = f"{summary.metrics['example_count']:.0f} of {summary.images['test']}"
            raise NodeFailed(f"{found} test images arrived at the Evaluator")
        verdict = tfma.load_validation_result(evaluation.uri)
        summary.verdict = "blessed" if verdict.validation_ok else "not_blessed"
        summary.reason = "; ".join(_failures(verdict, summary))
    if pushed := _first(result, "pushed_model"):
        summary.pushed = _text(pushed, "pushed_destination")
        if summary.pushed:
            summary.status = "pushed" if pushed.custom_properties["pushed"].int_value else "unchanged"
        elif pushed.custom_properties["withdrawn"].int_value:
            summary.reason = "this model was withdrawn by a rollback; train another one to push"


def write_data_page(path: Path, summary: Summary, results: Mapping[str, NodeResult]) -> bool:
    """Writes the page about the images of a run; False if the run did not come as far as their statistics."""
    if "StatisticsGen" not in results:
        return False
    statistics = _first(results["StatisticsGen"], "statistics")
    resolved = results.get("BlessedStatistics")
    before = _first(resolved, "baseline") if resolved else None
    sentences = summary.warnings or (summary.reason.splitlines() if summary.status == "bad_input" else [])
    title = f"Images of run {summary.run_id}"
    write_page(path, title, statistics.uri if statistics else "", before.uri if before else "", sentences)
    return True


def note(result: NodeResult) -> str:
    """What a node decided, for its line on the terminal."""
    if examples := _first(result, "examples"):
        return ", ".join(f"{count} {split}" for split, count in _counts(examples).items())
    if hyperparameters := _first(result, "best_hyperparameters"):
        return _text(hyperparameters, "reason")
    if result.name == "Trainer" and (model := _first(result, "model")):
        return _start(model)
    if pushed := _first(result, "pushed_model"):
        return _text(pushed, "pushed_destination").rpartition("/")[2] or "nothing pushed"
    return ""


def decide(summary: Summary) -> None:
    """Sets the status of a run whose components all finished."""
    if summary.status == "running":
        summary.status = "not_blessed"


def _first(result: NodeResult, key: str) -> mlmd.Artifact | None:
    return next(iter(result.outputs.get(key, [])), None)


def _counts(examples: mlmd.Artifact) -> dict[str, int]:
    return {split: examples.custom_properties[f"{split}_count"].int_value for split in SPLITS}


def _text(artifact: mlmd.Artifact, key: str) -> str:
    return artifact.custom_properties[key].string_value if key in artifact.custom_properties else ""


def _start(model: mlmd.Artifact) -> str:
    """What a warm training started from; empty where none was asked for."""
    return training_record(Path(path_utils.serving_model_path(model.uri))).get("start", "")


def _failures(verdict: Any, summary: Summary) -> list[str]:
    """A sentence for each threshold that was missed."""
    sentences = []
    for by_slice in verdict.metric_validations_per_slice:
        for failure in by_slice.failures:
            name = failure.metric_key.name
            value = summary.metrics.get(name, float("nan"))
            if failure.metric_threshold.HasField("value_threshold"):
                sentences.append(f"{name} is {value:.4f}, the threshold is {summary.thresholds[name]:.4f}")
            else:
                sentences.append(
                    f"{name} is {value:.4f}, the last blessed model has {summary.baseline[name]:.4f}"
                )
    return sentences
