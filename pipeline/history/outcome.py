"""Describes the results of a run's components, from their artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.history.executions import Artifact, Node
from pipeline.history.record import WAITING
from unet.dataset.sample import SPLITS
from unet.evaluation.results import EvaluationDamaged, Verdict, read_verdict
from unet.files import raise_passing
from unet.registry.records import OPERATING_POINT, training_record

SERVED = "Format-Serving"  # subfolder of a model where TFX keeps the SavedModel


def model_path(model: Artifact) -> Path:
    """Returns the folder of the SavedModel of a model artifact."""
    return model.path / SERVED


def counts(examples: Artifact) -> dict[str, int]:
    """Returns the number of images in each split."""
    return {split: int(examples.properties.get(f"{split}_count", 0)) for split in SPLITS}


def note(node: Node) -> str:
    """Describes the decision of a component in a few words; empty if it made none."""
    if node.name == "ImageMaskExampleGen" and (examples := node.first("examples")):
        return ", ".join(f"{count} {split}" for split, count in counts(examples).items())
    if hyperparameters := node.first("best_hyperparameters"):
        return hyperparameters.text("reason")
    if node.name == "Trainer" and (model := node.first("model")):
        record = training(model)
        return "; ".join(filter(None, [record.get("start", ""), _weights(record), _point(record)]))
    if node.name == "Evaluator" and (blessing := node.first("blessing")):
        return "blessed" if blessing.properties.get("blessed") == 1 else "not blessed"
    if pushed := node.first("pushed_model"):
        return pushed.text("pushed_destination").rpartition("/")[2] or "nothing pushed"
    return ""


def training(model: Artifact) -> dict[str, Any]:
    """Reads the training record of a model; empty if the record is damaged."""
    try:
        return training_record(model_path(model))
    except (OSError, ValueError) as error:
        raise_passing(error)
        return {}


def _point(record: Mapping[str, Any]) -> str:
    """Describes the chosen operating point; empty if the most likely class decides."""
    point = record.get(OPERATING_POINT)
    if not point:
        return ""
    kind = "threshold" if "threshold" in point else "factors"
    if point["why_not"]:
        return f"no {kind} for {point['aim']}: {point['why_not']}"
    if kind == "threshold":
        return f"threshold {point['threshold']:.4g} for {point['aim']}"
    factors = zip(record["classes"], point["factors"], strict=True)
    others = ", ".join(f"{name} {factor:.3g}" for name, factor in factors if factor != 1)
    after, before = (point[key]["mean_dice"] for key in ("chosen", "argmax"))
    return f"factors {others or 'of 1'} for {point['aim']}, {after:.3f} instead of {before:.3f}"


def _weights(record: Mapping[str, Any]) -> str:
    """Describes the class weights of the loss, which may be computed; empty if all are 1."""
    weights: dict[str, float] = record.get("class_weights", {})
    if all(weight == 1 for weight in weights.values()):
        return ""
    return "class weights " + ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())


def verdict(nodes: Sequence[Node], problems: list[str]) -> Verdict | None:
    """Reads the gate's verdict of a run; None if there is none or its file is damaged.

    Args:
        nodes: the components of the run.
        problems: list to which a sentence about a damaged file is added, once.
    """
    evaluation = _last(nodes, "evaluation")
    try:
        return read_verdict(evaluation.path) if evaluation else None
    except EvaluationDamaged as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None


def outcome(nodes: Sequence[Node]) -> tuple[str, str]:
    """Returns status and reason of a run with only finished components."""
    pushed = _last(nodes, "pushed_model")
    if pushed and pushed.text("pushed_destination"):
        return ("pushed" if pushed.properties.get("pushed") == 1 else "unchanged"), ""
    if pushed and pushed.properties.get("withdrawn") == 1:
        return "not_blessed", "this model was withdrawn by a rollback; train another one to push"
    found = verdict(nodes, [])  # the view of the run reports damaged files
    return "not_blessed", found["reason"] if found else ""


def outcome_of_part(nodes: Sequence[Node], following: str) -> tuple[str, str]:
    """Returns status and reason of a run after a part of it.

    Args:
        nodes: the finished components of the run.
        following: the stage that comes next; empty after the last one.
    """
    blessings = [node.first("blessing") for node in nodes if node.name in ("Evaluator", "InfraValidator")]
    refused = any(blessing and blessing.properties.get("blessed") != 1 for blessing in blessings)
    return outcome(nodes) if refused or not following else (WAITING, f"{following} comes next")


def _last(nodes: Sequence[Node], key: str) -> Artifact | None:
    """Returns the last component's first output of a key: resolvers list other components' artifacts."""
    return next((found for node in reversed(nodes) if (found := node.first(key))), None)
