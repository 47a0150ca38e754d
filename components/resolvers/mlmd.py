"""Queries ML Metadata: which execution read or wrote an artifact, and which models were blessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ml_metadata.errors import NotFoundError
from ml_metadata.proto import metadata_store_pb2 as mlmd

# Custom property of a blessing that a person gave without the comparison; its value says how.
ACCEPTED = "accepted"
# Custom property of a blessing and of a pushed model: 1 if a rollback withdrew the model.
WITHDRAWN = "withdrawn"
_KEY = "execution_cache"  # type of the context that holds the cache key of an execution
INPUT, OUTPUT = mlmd.Event.INPUT, mlmd.Event.OUTPUT


def executions(store: Any, artifacts: list[int], kind: int) -> list[int]:
    """Returns ids of the executions that read (`INPUT`) or wrote (`OUTPUT`) artifacts, oldest first."""
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    return sorted({event.execution_id for event in events if event.type == kind})


def artifacts(store: Any, executions: list[int], kind: int, key: str) -> list[int]:
    """Returns ids of the artifacts that executions read or wrote under a key, oldest first."""
    events = store.get_events_by_execution_ids(executions) if executions else []
    named = [e for e in events if e.type == kind and e.path.steps and e.path.steps[0].key == key]
    return sorted({event.artifact_id for event in named})


def same_key(store: Any, one: int, other: int) -> bool:
    """Whether two artifacts were made by the same component of the same inputs, settings and code.

    The other one was made again, as the files of the first were damaged.
    """
    keys = [_keys(store, artifact) for artifact in (one, other)]
    return bool(keys[0]) and keys[0] == keys[1]


def _keys(store: Any, artifact: int) -> set[str]:
    makers = executions(store, [artifact], OUTPUT)[:1]  # later executions took it from the cache
    try:
        found = [context for maker in makers for context in store.get_contexts_by_execution(maker)]
    except NotFoundError:  # it has no context at all
        return set()
    return {context.name for context in found if context.type == _KEY}


def last_written(store: Any, artifacts: list[int]) -> dict[int, int]:
    """Returns the newest execution that wrote each artifact or took it from the cache."""
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    found = dict.fromkeys(artifacts, 0)
    for event in events:
        if event.type == OUTPUT:
            found[event.artifact_id] = max(found[event.artifact_id], event.execution_id)
    return found


def blessed(store: Any, blessings: Iterable[Any]) -> list[Any]:
    """Returns the artifacts among `ModelBlessing`s that bless a model, newest first.

    Evaluating an unchanged model again renews its blessing under the id of the old artifact. The blessing of
    a model that a rollback withdrew counts no more.
    """
    good = [
        artifact
        for artifact in blessings
        if artifact.get_int_custom_property("blessed") == 1
        and artifact.get_int_custom_property(WITHDRAWN) != 1
    ]
    order = last_written(store, [artifact.id for artifact in good])
    return sorted(good, key=lambda artifact: order[artifact.id], reverse=True)
