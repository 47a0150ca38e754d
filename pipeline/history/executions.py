"""Reads the runs of ML Metadata: their components, and the inputs and outputs of each."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.metadata import server
from pipeline.metadata.place import StoreError, place_of
from pipeline.metadata.store import open_store
from pipeline.root import Root

WAITING, RUNNING, CACHED, DONE, FAILED = "waiting", "running", "cached", "done", "failed"
STOPPED = "stopped"  # at work when the run was interrupted or killed; nothing went wrong in it
_STATES = {
    mlmd.Execution.NEW: RUNNING,
    mlmd.Execution.RUNNING: RUNNING,
    mlmd.Execution.CACHED: CACHED,
    mlmd.Execution.COMPLETE: DONE,
}
_INPUTS = (mlmd.Event.INPUT, mlmd.Event.DECLARED_INPUT)
_OUTPUTS = (
    mlmd.Event.OUTPUT,
    mlmd.Event.DECLARED_OUTPUT,
    mlmd.Event.INTERNAL_OUTPUT,
)  # the last: outputs of resolvers
_PUSHED, _BLESSED = "PushedModel", "ModelBlessing"
MODEL_HASH = "model_sha256"  # custom property of a blessing: hash of the blessed model
RESTARTED = "~"  # between a run's id and a number: what it did before a damaged input made it begin again
CLEANED = "cleaned"  # custom property of a run whose outputs were deleted, as no later run needs them
_SECONDS_FOR_A_LOCK = 2.0


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An artifact of a component; `properties` holds the custom ones, too."""

    id: int
    uri: str
    type: str
    properties: dict[str, Any]

    @property
    def path(self) -> Path:
        """The folder of the artifact, which may be missing."""
        return Path(self.uri)

    def text(self, key: str) -> str:
        """Returns a text property; empty if it is not set."""
        return str(self.properties.get(key, ""))


Artifacts = dict[str, list[Artifact]]


@dataclasses.dataclass
class Node:
    """One component of one run.

    Attributes:
        name: name of the component.
        state: waiting, running, cached, done, failed or stopped.
        same_as: id of the run that made the cached output; else empty.
        seconds: duration in seconds; 0 if the component was not executed.
        peak_memory_mb: peak memory of the process during the component; 0 if not known.
        outputs, inputs: the artifacts that the component wrote and read, by key.
        began: start in seconds since the epoch; 0 if the component did not begin.
    """

    name: str
    state: str = WAITING
    same_as: str = ""
    seconds: float = 0.0
    peak_memory_mb: int = 0
    outputs: Artifacts = dataclasses.field(default_factory=dict)
    inputs: Artifacts = dataclasses.field(default_factory=dict)
    began: float = 0.0

    def first(self, key: str) -> Artifact | None:
        """Returns the first output of a key."""
        return next(iter(self.outputs.get(key, [])), None)


@dataclasses.dataclass(frozen=True)
class Push:
    """A version that was deployed.

    Attributes:
        folder: folder of the version.
        run: id of the run that trained the model.
        reason, who, when: reason, name and time of a promotion by a person; empty if the run pushed the
        model.
        withdrawn: whether a rollback withdrew the model.
    """

    folder: str
    run: str
    reason: str = ""
    who: str = ""
    when: str = ""
    withdrawn: bool = False

    @property
    def version(self) -> str:
        """The number of the version, as text."""
        return Path(self.folder).name

    @property
    def by(self) -> str:
        """Says whether the run or a person pushed the version."""
        return (
            f"promoted by {self.who}, {self.when}: {self.reason}"
            if self.reason
            else f"pushed by run {self.run}"
        )


class Executions:
    """Reads ML Metadata while a run may be writing to it."""

    def __init__(self, root: Root):
        """Args: root: root folder with ML Metadata. Raises `StoreError`."""
        require_readable(root)
        self._path = root.metadata
        with _told(self._path):
            self._store = _open(root)
            kinds = {kind.name for kind in self._store.get_context_types()}
            found = self._store.get_contexts_by_type("pipeline_run") if "pipeline_run" in kinds else []
        self.runs = {
            context.name: context.id
            for context in found
            if RESTARTED not in context.name and CLEANED not in context.custom_properties
        }
        self._began = {context.name: context.create_time_since_epoch / 1000 for context in found}

    def began(self, run_id: str) -> float:
        """Returns the start of the first component in seconds since the epoch; 0 if none began."""
        return self._began.get(run_id, 0.0)

    def nodes(self, run_id: str) -> list[Node]:
        """Returns the components that began in a run, in their order; raises `StoreError`."""
        if run_id not in self.runs:
            return []
        with _told(self._path):
            return read_nodes(self._store, self._store.get_executions_by_context(self.runs[run_id]))

    def pushes(self) -> list[Push]:
        """Returns all versions that were deployed, oldest first; raises `StoreError`."""
        with _told(self._path):
            kinds = {kind.name for kind in self._store.get_artifact_types()}
            found = self._store.get_artifacts_by_type(_PUSHED) if _PUSHED in kinds else []
            pushed = []
            for artifact in sorted(found, key=lambda artifact: artifact.id):
                recorded = _values(artifact.custom_properties)
                if recorded.get("pushed") == 1:
                    # A promotion by a person belongs to no run but records the run of its model.
                    run = str(recorded.get("run") or _maker(self._store, artifact.id))
                    texts = {key: str(recorded.get(key, "")) for key in ("reason", "who", "when")}
                    destination = str(recorded.get("pushed_destination", ""))
                    is_withdrawn = recorded.get("withdrawn") == 1
                    pushed.append(Push(destination, run, **texts, withdrawn=is_withdrawn))
        return pushed

    def withdrawn(self) -> set[str]:
        """Returns the hashes of the models that are marked as withdrawn; raises `StoreError`."""
        with _told(self._path):
            kinds = {kind.name for kind in self._store.get_artifact_types()}
            found = self._store.get_artifacts_by_type(_BLESSED) if _BLESSED in kinds else []
        told = [_values(blessing.custom_properties) for blessing in found]
        return {values[MODEL_HASH] for values in told if values.get("withdrawn") and values.get(MODEL_HASH)}

    def maker(self, artifact: int) -> str:
        """Returns the id of the run that made an artifact; empty if not known. Raises `StoreError`."""
        with _told(self._path):
            return _maker(self._store, artifact)


def read_nodes(store: Any, executions: Iterable[Any]) -> list[Node]:
    """Converts executions to nodes with their artifacts.

    Args:
        store: an `ml_metadata.MetadataStore`.
        executions: executions of the store; the later one of the same component replaces the earlier one.
    """
    nodes: dict[int, Node] = {}
    later: dict[str, int] = {}
    for execution in sorted(executions, key=lambda execution: execution.id):
        name = _context(store, execution.id, "node").partition(".")[2] or execution.type
        nodes.pop(later.get(name, 0), None)
        later[name] = execution.id
        began = execution.create_time_since_epoch / 1000
        seconds = round(execution.last_update_time_since_epoch / 1000 - began, 1)
        state = _STATES.get(execution.last_known_state, FAILED)
        nodes[execution.id] = Node(name, state, seconds=seconds, began=began)
    events = store.get_events_by_execution_ids(list(nodes)) if nodes else []
    artifacts = _artifacts(store, {event.artifact_id for event in events})
    for event in sorted(events, key=lambda event: (event.execution_id, event.artifact_id)):
        node = nodes[event.execution_id]
        side = node.outputs if event.type in _OUTPUTS else node.inputs if event.type in _INPUTS else None
        if side is not None and event.artifact_id in artifacts and event.path.steps:
            side.setdefault(event.path.steps[0].key, []).append(artifacts[event.artifact_id])
    for node in nodes.values():
        if node.state == CACHED and (made := next(iter(node.outputs.values()), [])):
            node.same_as = _maker(store, made[0].id)
    return list(nodes.values())


def _maker(store: Any, artifact: int) -> str:
    """Returns the run that made an artifact: that of the first execution that wrote the artifact."""
    events = store.get_events_by_artifact_ids([artifact])
    first = min((event.execution_id for event in events if event.type in _OUTPUTS), default=0)
    return _context(store, first, "pipeline_run").partition(RESTARTED)[0] if first else ""


def _artifacts(store: Any, ids: set[int]) -> dict[int, Artifact]:
    return {
        found.id: Artifact(
            found.id,
            found.uri,
            found.type,
            {**_values(found.properties), **_values(found.custom_properties)},
        )
        for found in (store.get_artifacts_by_id(sorted(ids)) if ids else [])
    }


def _values(properties: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        key: getattr(told, told.WhichOneof("value") or "string_value") for key, told in properties.items()
    }
    # TFX keeps lists and dictionaries as messages, such as what its ExampleValidator says of each split.
    return {key: MessageToDict(told) if isinstance(told, Struct) else told for key, told in found.items()}


def _context(store: Any, execution: int, kind: str) -> str:
    found = store.get_contexts_by_execution(execution)
    return next((context.name for context in found if context.type == kind), "")


def _open(root: Root) -> Any:
    if place_of(root):
        return open_store(root)
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(root.metadata)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
    config.retry_options.max_num_retries = 3
    return MetadataStore(config)


def require_readable(root: Root) -> None:
    """Raises `StoreError` at once for what ML Metadata would retry for 13 seconds, or a server for minutes.

    Also for a damaged file, in which ML Metadata's native code may find what ends the process (SIGABRT).

    SQLite opens the file for writing if permitted: that rolls back the unfinished write of a killed process.
    """
    if place := place_of(root):
        server.require_answer(place.where)
        return
    path = root.metadata
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file: what the components did is not known")
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_SECONDS_FOR_A_LOCK)
        ) as connection:
            connection.execute("SELECT MAX(id) FROM Execution").fetchall()
            connection.execute("SELECT MAX(artifact_id) FROM Event").fetchall()
            [(found,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        raise StoreError(_sentence(path, str(error))) from None
    if found != "ok":
        raise StoreError(
            _sentence(path, " ".join(f"damaged: {found}".split()).replace(" *** in database main ***", ""))
        )


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # RuntimeError of the C++ code, or one of ml_metadata.errors
        raise StoreError(_sentence(path, str(error))) from None


def _sentence(path: Path, error: str) -> str:
    if "locked" in error:
        return f"{path}: another process is writing to it: ask again"
    if "no such table" in error:
        return (
            f"{path}: half-written (its tables are missing), so what the components did is not known: "
            "restore it, or give another --root"
        )
    first = error.partition(" query: ")[0].removeprefix("Error when executing query: ").strip()
    return f"{path}: cannot be read ({first}): restore it, or give another --root; the models are not touched"
