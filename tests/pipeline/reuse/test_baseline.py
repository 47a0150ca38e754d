"""A model that was compared with another one than the last blessed one is told of, before it is pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types.standard_artifacts import Model, ModelBlessing

from components.resolvers.mlmd import ACCEPTED, WITHDRAWN
from pipeline.history.executions import Artifact, Node
from pipeline.reuse.baseline import outdated
from tests.components.resolvers.test_baseline import saved
from unet.registry.records import TRAINING_RECORD


class Root:
    """ML Metadata in memory, with models and their blessings."""

    def __init__(self, folder: Path):
        config = mlmd.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store, self._folder = MetadataStore(config), folder
        self._kinds = {
            kind.TYPE_NAME: self.store.put_artifact_type(kind._get_artifact_type())
            for kind in (Model, ModelBlessing)
        }
        self._execution = self.store.put_execution_type(mlmd.ExecutionType(name="Evaluator"))

    def model(self) -> int:
        """Adds a model with its files."""
        found: int = self._put(Model.TYPE_NAME).id
        files = self._folder / str(found) / "Format-Serving"
        (files / "variables").mkdir(parents=True)
        (files / "variables" / "variables.index").touch()
        (files / "saved_model.pb").write_bytes(saved())
        (files / TRAINING_RECORD).parent.mkdir()
        (files / TRAINING_RECORD).write_text(json.dumps({"classes": ["a", "b"]}))
        return found

    def bless(self, model: int, accepted: str = "") -> mlmd.Artifact:
        """Blesses a model, by the gate or by a person."""
        properties = {ACCEPTED: accepted} if accepted else {}
        return self._put(ModelBlessing.TYPE_NAME, current_model_id=model, blessed=1, **properties)

    def withdraw(self, blessing: mlmd.Artifact) -> None:
        """Marks a blessing, as a rollback does."""
        blessing.custom_properties[WITHDRAWN].int_value = 1
        self.store.put_artifacts([blessing])

    def _put(self, kind: str, **properties: Any) -> mlmd.Artifact:
        artifact = mlmd.Artifact(type_id=self._kinds[kind], state=mlmd.Artifact.LIVE)
        for key, value in properties.items():
            name = "int_value" if isinstance(value, int) else "string_value"
            setattr(artifact.custom_properties[key], name, value)
        [artifact.id] = self.store.put_artifacts([artifact])
        artifact.uri = str(self._folder / str(artifact.id))
        self.store.put_artifacts([artifact])
        [execution] = self.store.put_executions([mlmd.Execution(type_id=self._execution)])
        event = mlmd.Event(artifact_id=artifact.id, execution_id=execution, type=mlmd.Event.OUTPUT)
        self.store.put_events([event])
        return artifact


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def told(root: Root, candidate: int, *used: int) -> str:
    """What is said of a run whose candidate was compared with the models that were used."""
    nodes = [
        Node(name, outputs={"model": [Artifact(model, "", "Model", {}) for model in models]})
        for name, models in {"Trainer": [candidate], "BlessedBaseline": used}.items()
    ]
    return outdated(root.store, nodes)


def test_its_own_blessing_changes_nothing(root: Root):
    old, candidate = root.model(), root.model()
    root.bless(old)
    root.bless(candidate)
    assert not told(root, candidate, old)
    assert not outdated(root.store, [])


def test_another_model_that_was_promoted_since_is_told_of(root: Root):
    old, other, candidate = root.model(), root.model(), root.model()
    root.bless(old)
    root.bless(candidate)
    root.bless(other, "promotion")
    assert "another one than when this run was evaluated" in told(root, candidate, old)
    assert told(root, candidate)  # there was none to compare with
    assert not told(root, candidate, other)


def test_a_baseline_that_was_withdrawn_since_is_told_of(root: Root):
    old, bad, candidate = root.model(), root.model(), root.model()
    root.bless(old)
    blessing = root.bless(bad)
    root.bless(candidate)
    assert not told(root, candidate, bad)
    root.withdraw(blessing)
    assert told(root, candidate, bad)


def test_a_candidate_that_a_person_accepted_needs_no_other_comparison(root: Root):
    old, candidate = root.model(), root.model()
    root.bless(old)
    root.bless(candidate, "promotion")
    assert not told(root, candidate, old)
