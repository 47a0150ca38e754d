"""ML Metadata in memory, filled by executions that name what they read and wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd


def empty_store() -> MetadataStore:
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    return MetadataStore(config)


def put(store: MetadataStore, count: int) -> list[int]:
    """So many artifacts, of a type that does not matter here; their ids."""
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Anything"))
    return list(store.put_artifacts([mlmd.Artifact(type_id=kind, uri="x") for _ in range(count)]))


def execute(
    store: MetadataStore,
    read: Mapping[str, list[int]] = {},
    wrote: Mapping[str, list[int]] = {},
    **properties: str,
) -> int:
    """The id of a new execution that read and wrote artifacts, by key."""
    kind = store.put_execution_type(mlmd.ExecutionType(name="Any"))
    execution = mlmd.Execution(type_id=kind)
    for name, value in properties.items():
        execution.custom_properties[name].string_value = value
    [number] = store.put_executions([execution])
    events: list[Any] = []
    for event, sides in ((mlmd.Event.INPUT, read), (mlmd.Event.OUTPUT, wrote)):
        for key, artifacts in sides.items():
            path = mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key=key), mlmd.Event.Path.Step(index=0)])
            events += [
                mlmd.Event(artifact_id=artifact, execution_id=number, type=event, path=path)
                for artifact in artifacts
            ]
    store.put_events(events)
    return int(number)
