"""Whether an evaluation is still beside the last blessed model: hours may pass between it and the push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types.artifact_utils import deserialize_artifact

from components.resolvers.baseline import BlessedBaselineStrategy
from pipeline.history.executions import Node


def outdated(store: Any, nodes: Sequence[Node]) -> str:
    """Says what changed since a run chose its baseline, by a promotion or a rollback; empty if nothing did.

    Args:
        store: an `ml_metadata.MetadataStore`.
        nodes: what the run has finished so far.
    """
    finished = {node.name: node for node in nodes}
    if not {"Trainer", "BlessedBaseline"} <= finished.keys():
        return ""
    candidate = finished["Trainer"].outputs["model"][0].id
    then = {model.id for model in finished["BlessedBaseline"].outputs.get("model", [])}
    models = _live(store, "Model")
    resolved = BlessedBaselineStrategy().resolve_artifacts(
        store,
        {
            "candidate": [model for model in models if model.id == candidate],
            "model": models,
            "model_blessing": _live(store, "ModelBlessing"),
        },
    )
    now = {model.id for model in resolved["model"]}
    # The candidate alone: a person accepted this very model, perhaps by `--rebaseline` of this run.
    if now in (then, {candidate}):
        return ""
    return "The last blessed model is another one than when this run was evaluated, which is done again."


def _live(store: Any, name: str) -> list[Any]:
    """The artifacts of a type that are not deleted."""
    kind = next((kind for kind in store.get_artifact_types() if kind.name == name), None)
    found = store.get_artifacts_by_type(name) if kind else []
    return [deserialize_artifact(kind, a) for a in found if a.state == mlmd.Artifact.LIVE]
