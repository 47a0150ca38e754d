"""What came of the components of a run, in words: read from their artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.history.executions import Artifact, Node
from unet.dataset.sample import SPLITS
from unet.evaluation.results import EvaluationDamaged, Verdict, read_verdict
from unet.registry.records import training_record

SERVED = "Format-Serving"  # where TFX has the SavedModel in the folder of a model


def model_path(model: Artifact) -> Path:
    """The SavedModel of a model."""
    return model.path / SERVED


def counts(examples: Artifact) -> dict[str, int]:
    """Number of images in each split."""
    return {split: int(examples.properties.get(f"{split}_count", 0)) for split in SPLITS}


def note(node: Node) -> str:
    """What a component decided, in a few words; empty where there is nothing to say."""
    if node.name == "ImageMaskExampleGen" and (examples := node.first("examples")):
        return ", ".join(f"{count} {split}" for split, count in counts(examples).items())
    if hyperparameters := node.first("best_hyperparameters"):
        return hyperparameters.text("reason")
    if node.name == "Trainer" and (model := node.first("model")):
        record = training(model)
        return "; ".join(filter(None, [record.get("start", ""), _weights(record)]))
    if node.name == "Evaluator" and (blessing := node.first("blessing")):
        return "blessed" if blessing.properties.get("blessed") == 1 else "not blessed"
    if pushed := node.first("pushed_model"):
        return pushed.text("pushed_destination").rpartition("/")[2] or "nothing pushed"
    return ""


def training(model: Artifact) -> dict[str, Any]:
    """What a model says of its training; nothing where that is damaged."""
    try:
        return training_record(model_path(model))
    except (OSError, ValueError):
        return {}


def _weights(record: Mapping[str, Any]) -> str:
    """The weights of the classes in the loss, which may have been computed; empty where all are 1."""
    weights: dict[str, float] = record.get("class_weights", {})
    if all(weight == 1 for weight in weights.values()):
        return ""
    return "class weights " + ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())


def verdict(nodes: Sequence[Node], problems: list[str]) -> Verdict | None:
    """What the gate decided in a run; None where it came to nothing, or left a file that is damaged.

    Args:
        nodes: the components of the run.
        problems: gets a sentence about a damaged file, once.
    """
    evaluation = _last(nodes, "evaluation")
    try:
        return read_verdict(evaluation.path) if evaluation else None
    except EvaluationDamaged as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None


def outcome(nodes: Sequence[Node]) -> tuple[str, str]:
    """Status and reason of a run whose components all finished."""
    pushed = _last(nodes, "pushed_model")
    if pushed and pushed.text("pushed_destination"):
        return ("pushed" if pushed.properties.get("pushed") == 1 else "unchanged"), ""
    if pushed and pushed.properties.get("withdrawn") == 1:
        return "not_blessed", "this model was withdrawn by a rollback; train another one to push"
    found = verdict(nodes, [])  # whoever shows the run tells what is damaged
    return "not_blessed", found["reason"] if found else ""


def _last(nodes: Sequence[Node], key: str) -> Artifact | None:
    """The first output of a key of the last component that has one: resolvers name again what others made."""
    return next((found for node in reversed(nodes) if (found := node.first(key))), None)
