"""Who made what of what, and which models were blessed last."""

from __future__ import annotations

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.types.standard_artifacts import ModelBlessing

from components.resolvers import mlmd
from tests.components.resolvers.lineage import empty_store, execute, put


def test_executions_and_artifacts_by_what_they_read_or_wrote():
    store = empty_store()
    data, model, log = put(store, 3)
    first = execute(store, {"examples": [data]}, {"model": [model], "log": [log]})
    second = execute(store, {"examples": [data], "model": [model]})
    assert mlmd.executions(store, [data], mlmd.INPUT) == [first, second]
    assert mlmd.executions(store, [data], mlmd.OUTPUT) == []
    assert mlmd.executions(store, [model, log], mlmd.OUTPUT) == [first]  # once
    assert mlmd.artifacts(store, [first, second], mlmd.INPUT, "examples") == [data]
    assert mlmd.artifacts(store, [first, second], mlmd.INPUT, "model") == [model]
    assert mlmd.artifacts(store, [first], mlmd.OUTPUT, "model") == [model]
    assert mlmd.artifacts(store, [first], mlmd.OUTPUT, "examples") == []


def test_of_nothing_comes_nothing():
    store = empty_store()
    assert mlmd.executions(store, [], mlmd.INPUT) == []
    assert mlmd.artifacts(store, [], mlmd.INPUT, "x") == []
    assert mlmd.last_written(store, []) == {}


def test_an_event_without_a_key_is_of_no_key():
    store = empty_store()
    [artifact] = put(store, 1)
    execution = execute(store)
    event = metadata_store_pb2.Event(artifact_id=artifact, execution_id=execution, type=mlmd.INPUT)
    store.put_events([event])
    assert mlmd.artifacts(store, [execution], mlmd.INPUT, "x") == []
    assert mlmd.executions(store, [artifact], mlmd.INPUT) == [execution]


def test_the_newest_execution_that_wrote_an_artifact_counts():
    store = empty_store()
    once, twice, never = put(store, 3)
    execute(store, wrote={"a": [twice]})
    second = execute(store, wrote={"a": [once]})
    third = execute(store, wrote={"a": [twice]})  # from the cache
    execute(store, read={"a": [once, twice, never]})
    assert mlmd.last_written(store, [once, twice, never]) == {once: second, twice: third, never: 0}


def test_blessings_come_newest_first_by_when_they_were_given_last():
    store = empty_store()
    blessings = []
    for number, blessed in zip(put(store, 4), (1, 1, 0, 1), strict=True):
        blessing = ModelBlessing()
        blessing.id = number
        blessing.set_int_custom_property("blessed", blessed)
        blessings.append(blessing)
        execute(store, wrote={"blessing": [number]})
    first, second, _, fourth = blessings
    assert mlmd.blessed(store, blessings) == [fourth, second, first]
    execute(store, wrote={"blessing": [first.id]})
    assert mlmd.blessed(store, blessings) == [first, fourth, second]
    first.set_int_custom_property(mlmd.WITHDRAWN, 1)
    second.set_int_custom_property(mlmd.WITHDRAWN, 0)
    assert mlmd.blessed(store, blessings) == [fourth, second]


def keyed(store: MetadataStore, artifact: int, key: str) -> None:
    """An execution wrote the artifact, and ML Metadata knows it by a cache key."""
    kind = store.put_context_type(metadata_store_pb2.ContextType(name="execution_cache"))
    if not (found := store.get_context_by_type_and_name("execution_cache", key)):
        store.put_contexts([metadata_store_pb2.Context(type_id=kind, name=key)])
        found = store.get_context_by_type_and_name("execution_cache", key)
    execution = execute(store, {}, {"model": [artifact]})
    pair = metadata_store_pb2.Association(execution_id=execution, context_id=found.id)
    store.put_attributions_and_associations([], [pair])


def test_what_was_made_again_has_the_same_key():
    store = empty_store()
    damaged, again, other, unknown, alone = put(store, 5)
    for artifact, key in ((damaged, "a"), (again, "a"), (other, "b")):
        keyed(store, artifact, key)
    execute(store, {}, {"model": [unknown]})  # by a person: without any key
    assert mlmd.same_key(store, damaged, again)
    assert not mlmd.same_key(store, damaged, other)
    assert not mlmd.same_key(store, unknown, alone)
    keyed(store, other, "a")  # what took it from the cache does not count
    assert not mlmd.same_key(store, damaged, other)
