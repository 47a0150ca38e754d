"""Records in ML Metadata that a person promoted a model without the gate.

The record is an execution `Promotion` that read the model and wrote a `ModelBlessing` and a `PushedModel`,
like the Evaluator and the Pusher of a run. So every search for the last blessed model finds it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.resolvers import mlmd as lineage
from pipeline.history.executions import Artifact
from pipeline.metadata.store import open_store
from pipeline.root import Root

TYPE = "Promotion"
BY_PROMOTION = "promotion"
_PIPELINE = "pipeline"  # type of the context in which TFX looks for artifacts


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A promotion: the person, the run of the model, the time and the reason."""

    run: str
    reason: str
    who: str
    when: str


def last_blessed(root: Root) -> int | None:
    """Returns the id of the model that the gate or a person blessed last; None if there is none."""
    newest = next(iter(blessings(open_store(root))), None)
    return int_of(newest, "current_model_id") if newest else None


def blessings(store: Any) -> list[mlmd.Artifact]:
    """Returns the blessings of the gate or a person, newest first, without those of withdrawn models.

    Args:
        store: an `ml_metadata.MetadataStore`.
    """
    kinds = {kind.name for kind in store.get_artifact_types()}
    found = [
        blessing
        for blessing in (store.get_artifacts_by_type("ModelBlessing") if "ModelBlessing" in kinds else [])
        if int_of(blessing, "blessed") == 1 and int_of(blessing, lineage.WITHDRAWN) != 1
    ]
    order = lineage.last_written(store, [blessing.id for blessing in found])
    return sorted(found, key=lambda blessing: order[blessing.id], reverse=True)


def int_of(artifact: mlmd.Artifact, key: str) -> int:
    """Returns a number among the custom properties of an artifact; 0 if it is not set."""
    # Reading a missing key of the map would add the key.
    return int(artifact.custom_properties[key].int_value) if key in artifact.custom_properties else 0


def text_of(artifact: mlmd.Artifact, key: str) -> str:
    """Returns a text among the custom properties of an artifact; empty if it is not set."""
    return artifact.custom_properties[key].string_value if key in artifact.custom_properties else ""


class Record:
    """Writes the record of one promotion; the caller holds the lock of the root."""

    def __init__(self, root: Root, promotion: Promotion, inputs: dict[str, Artifact]):
        """Records the start of the promotion, so that a killed one is visible.

        Args:
            root: root folder with a store of ML Metadata.
            promotion: the promotion to record.
            inputs: the `model`, and the other artifacts that it was evaluated with, by key.
        """
        self._store = open_store(root)
        self._root, self._promotion, self._model = root, promotion, inputs["model"]
        kind = self._store.put_execution_type(mlmd.ExecutionType(name=TYPE), can_add_fields=True)
        self._close_killed(kind)
        self._execution = mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.RUNNING)
        for key, value in dataclasses.asdict(promotion).items():
            self._execution.custom_properties[key].string_value = value
        self._contexts = self._store.get_contexts_by_type(_PIPELINE)
        read = [
            (mlmd.Artifact(id=artifact.id, uri=artifact.uri), _event(mlmd.Event.INPUT, key))
            for key, artifact in inputs.items()
        ]
        known = {a.id: a for a in self._store.get_artifacts_by_id([a.id for a, _ in read])}
        pairs = [(known[artifact.id], event) for artifact, event in read]
        self._execution.id = self._store.put_execution(self._execution, pairs, self._contexts)[0]

    def facts(self) -> dict[str, Any]:
        """Returns the facts of the model card that the run's Pusher would have added to the artifacts'."""
        runs = [c for c in self._store.get_contexts_by_type("pipeline_run") if c.name == self._promotion.run]
        executions = [e for run in runs for e in self._store.get_executions_by_context(run.id)]
        told = [
            e.custom_properties["facts"].string_value for e in executions if "facts" in e.custom_properties
        ]
        unknown = {"data_licence": "", "code": "unknown", "configuration": "unknown"}
        return {**unknown, **(json.loads(told[-1]) if told else {})}

    def done(self, version: Path) -> None:
        """Records that the model is deployed, and makes it the last blessed one."""
        folder = self._root.artifacts / TYPE
        blessing = self._artifact("ModelBlessing", folder / "blessing" / str(self._execution.id))
        blessing.custom_properties["current_model"].string_value = self._model.uri
        blessing.custom_properties["current_model_id"].int_value = self._model.id
        blessing.custom_properties["blessed"].int_value = 1
        blessing.custom_properties[lineage.ACCEPTED].string_value = BY_PROMOTION
        pushed = self._artifact("PushedModel", folder / "pushed_model" / str(self._execution.id))
        pushed.custom_properties["pushed"].int_value = 1
        pushed.custom_properties["pushed_destination"].string_value = str(version)
        for artifact in (blessing, pushed):
            for key, value in dataclasses.asdict(self._promotion).items():
                artifact.custom_properties[key].string_value = value
        Path(blessing.uri, "BLESSED").touch()
        self._execution.last_known_state = mlmd.Execution.COMPLETE
        written = [
            (artifact, _event(mlmd.Event.OUTPUT, key))
            for key, artifact in {"blessing": blessing, "pushed_model": pushed}.items()
        ]
        self._store.put_execution(self._execution, written, self._contexts)

    def failed(self) -> None:
        """Records that no model was deployed."""
        self._execution.last_known_state = mlmd.Execution.FAILED
        self._store.put_executions([self._execution])

    def _close_killed(self, kind: int) -> None:
        """Marks as failed what is left of processes that were killed: who holds the lock is the only one."""
        running = [
            execution
            for execution in self._store.get_executions()  # of this root, where several share a database
            if execution.type_id == kind and execution.last_known_state == mlmd.Execution.RUNNING
        ]
        for execution in running:
            execution.last_known_state = mlmd.Execution.FAILED
        if running:
            self._store.put_executions(running)

    def _artifact(self, kind: str, folder: Path) -> mlmd.Artifact:
        folder.mkdir(parents=True, exist_ok=True)
        artifact = mlmd.Artifact(
            type_id=self._store.put_artifact_type(mlmd.ArtifactType(name=kind), can_add_fields=True,
                                                  can_omit_fields=True),
            uri=str(folder),
            state=mlmd.Artifact.LIVE,
        )  # fmt: skip
        artifact.custom_properties["is_external"].int_value = 0
        return artifact


def _event(kind: int, key: str) -> mlmd.Event:
    return mlmd.Event(type=kind, path=mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key=key)]))
