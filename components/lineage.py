"""Who made what of what, as ML Metadata tells it; and which models were blessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

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


def blessed(blessings: Iterable[Any]) -> list[Any]:
    """The artifacts among `ModelBlessing`s that bless, newest first."""
    good = [artifact for artifact in blessings if artifact.get_int_custom_property("blessed") == 1]
    return sorted(good, key=lambda artifact: artifact.id, reverse=True)
