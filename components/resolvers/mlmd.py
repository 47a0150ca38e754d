"""Who made what of what, as ML Metadata tells it; and which models were blessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

# Custom property of a blessing that a person gave, past the comparison: how.
ACCEPTED = "accepted"
INPUT, OUTPUT = mlmd.Event.INPUT, mlmd.Event.OUTPUT


def executions(store: Any, artifacts: list[int], kind: int) -> list[int]:
    """Ids of the executions that read (`INPUT`) or wrote (`OUTPUT`) artifacts, oldest first."""
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    return sorted({event.execution_id for event in events if event.type == kind})


def artifacts(store: Any, executions: list[int], kind: int, key: str) -> list[int]:
    """Ids of what executions read or wrote under a key, oldest first."""
    events = store.get_events_by_execution_ids(executions) if executions else []
    named = [e for e in events if e.type == kind and e.path.steps and e.path.steps[0].key == key]
    return sorted({event.artifact_id for event in named})


def last_written(store: Any, artifacts: list[int]) -> dict[int, int]:
    """The newest execution that wrote each artifact; one that took it from the cache did, too."""
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    found = dict.fromkeys(artifacts, 0)
    for event in events:
        if event.type == OUTPUT:
            found[event.artifact_id] = max(found[event.artifact_id], event.execution_id)
    return found


def blessed(store: Any, blessings: Iterable[Any]) -> list[Any]:
    """The artifacts among `ModelBlessing`s that bless, newest first.

    A model that is evaluated again as it was before is blessed anew, by the artifact of then.
    """
    good = [artifact for artifact in blessings if artifact.get_int_custom_property("blessed") == 1]
    order = last_written(store, [artifact.id for artifact in good])
    return sorted(good, key=lambda artifact: order[artifact.id], reverse=True)
