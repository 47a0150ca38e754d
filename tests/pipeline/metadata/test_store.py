"""Two pipelines in one store: each sees what is its own, and a lost connection is renewed."""

from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.executions import read_nodes
from pipeline.metadata.store import OwnStore, own_store
from pipeline.reuse import verified

A, B = "unet-aaaaaaaaaaaa", "unet-bbbbbbbbbbbb"


@pytest.fixture
def shared() -> Any:
    """A store in memory in which both pipelines trained a model, in runs of one id."""
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    store = MetadataStore(config)
    for pipeline in (A, B):
        add(store, pipeline, "night-1")
    return store


def add(store: Any, pipeline: str, run: str) -> None:
    """What TFX writes of a run of one component."""
    contexts = []
    for kind, name in (
        ("pipeline", pipeline),
        ("pipeline_run", f"{pipeline}.{run}"),
        ("node", f"{pipeline}.Trainer"),
    ):
        number = store.put_context_type(mlmd.ContextType(name=kind))
        contexts.append(mlmd.Context(type_id=number, name=name))
    kind = store.put_execution_type(mlmd.ExecutionType(name="Trainer"))
    execution = mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.COMPLETE)
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    artifact = mlmd.Artifact(type_id=kind, uri=f"/{pipeline}/Trainer/model/1", state=mlmd.Artifact.LIVE)
    path = mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key="model"), mlmd.Event.Path.Step(index=0)])
    store.put_execution(execution, [(artifact, mlmd.Event(type=mlmd.Event.OUTPUT, path=path))], contexts)


@pytest.mark.parametrize("pipeline", [A, B])
def test_each_sees_its_own(shared: Any, pipeline: str):
    own = OwnStore(shared, pipeline)
    assert [artifact.uri for artifact in own.get_artifacts()] == [f"/{pipeline}/Trainer/model/1"]
    assert own.get_artifacts_by_type("Model") == own.get_artifacts()
    assert own.get_artifacts_by_type("Examples") == []
    [execution] = own.get_executions()
    assert [context.name for context in own.get_contexts_by_type("pipeline")] == [pipeline]
    assert [context.name for context in own.get_contexts_by_type("node")] == [f"{pipeline}.Trainer"]
    assert [context.name for context in own.get_contexts_by_type("pipeline_run")] == ["night-1"]
    names = {context.name for context in own.get_contexts_by_execution(execution.id)}
    assert names == {pipeline, "night-1", f"{pipeline}.Trainer"}
    [node] = read_nodes(own, [execution])
    assert (node.name, node.outputs["model"][0].uri) == ("Trainer", f"/{pipeline}/Trainer/model/1")


def test_who_wrote_nothing_yet_sees_nothing(shared: Any):
    own = OwnStore(shared, "unet-cccccccccccc")
    assert own.get_artifacts() == own.get_executions() == own.get_artifacts_by_type("Model") == []
    assert own.get_contexts_by_type("pipeline") == own.get_contexts_by_type("pipeline_run") == []


def test_a_run_that_begins_again_renames_no_run_of_another(shared: Any):
    own, other = OwnStore(shared, A), OwnStore(shared, B)
    assert len(verified.finished_nodes(own, "night-1")) == 1
    verified.rename_run(own, "night-1")
    assert verified.finished_nodes(own, "night-1") == []
    assert [context.name for context in own.get_contexts_by_type("pipeline_run")] == ["night-1~1"]
    assert len(verified.finished_nodes(other, "night-1")) == 1


def test_what_would_tell_of_others_is_refused(shared: Any):
    own = OwnStore(shared, A)
    with pytest.raises(ValueError, match="of no pipeline"):
        own.get_contexts_by_type("execution_cache")
    for name in ("get_contexts", "get_executions_by_type", "get_context_by_type_and_name"):
        with pytest.raises(AttributeError, match="not limited"):
            getattr(own, name)


def test_a_file_is_that_of_one_root(shared: Any):
    assert own_store(shared, "unet") is shared
    assert isinstance(own_store(shared, A), OwnStore)
