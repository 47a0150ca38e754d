"""ML Metadata as one root sees it: only what is its own, also on a server that many roots share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.metadata.place import Unreachable, connection, place_of
from pipeline.root import Root
from unet.registry.versions import MODEL_NAME

_PIPELINE, _RUN, _NODE = "pipeline", "pipeline_run", "node"  # types of TFX's contexts
# ML Metadata quotes a text with a backslash wrongly for PostgreSQL, which then refuses it: a character that
# nobody uses is written instead.
_BACKSLASH, _WRITTEN = "\\", "\ue05c"
_SECONDS_TO_RETURN = 120.0  # that a server may need to start again
_LOST = re.compile(r"lost connection|gone away|closed the connection|terminat|connect|shut", re.IGNORECASE)


class PatientStore:
    """Has all methods of a `MetadataStore` of a server that may restart, or end an idle connection.

    What only reads is repeated on a new connection. What writes is not, as it may have been written.
    """

    def __init__(self, config: mlmd.ConnectionConfig):
        """Args: config: the connection. Raises `Unreachable` where no server answers for minutes."""
        self._config = config
        self._is_postgresql = config.HasField("postgresql")
        self._store: Any = self._connect()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            if name.endswith("_by_id"):
                return self._by_id(name, *words, **options)
            if not self._is_postgresql:
                return self._call(name, words, options)
            options = {key: _rewritten(value, _BACKSLASH, _WRITTEN) for key, value in options.items()}
            found = self._call(name, _rewritten(words, _BACKSLASH, _WRITTEN), options)
            if name.startswith("get_events_by_"):
                for event in found:
                    steps = sorted(event.path.steps, key=lambda step: step.HasField("index"))
                    event.path.CopyFrom(mlmd.Event.Path(steps=steps))
            return _rewritten(found, _WRITTEN, _BACKSLASH)

        return call

    def _by_id(self, name: str, ids: Iterable[int]) -> list[Any]:
        # A server returns rows in any order, and TFX takes the first one for that of the first id: outputs of
        # the cache would get each other's names.
        asked = list(ids)
        found = {one.id: one for one in self._call(name, (asked,), {})}
        return [_rewritten(found[number], _WRITTEN, _BACKSLASH) for number in asked if number in found]

    def _call(self, name: str, words: Iterable[Any], options: Mapping[str, Any]) -> Any:
        if self._store is None:
            self._store = self._connect()
        try:
            return getattr(self._store, name)(*words, **options)
        except (errors.InternalError, errors.UnavailableError, errors.UnknownError) as error:
            # That of MySQL ends the process if it is used again after it lost its connection.
            self._store = None
            if not _LOST.search(str(error)):
                raise
            if not name.startswith("get_"):
                raise self._lost(str(error)) from error
        self._store = self._connect()
        return getattr(self._store, name)(*words, **options)

    def _connect(self) -> Any:
        until = time.monotonic() + _SECONDS_TO_RETURN
        while True:
            try:
                return MetadataStore(self._config)
            except (RuntimeError, errors.StatusError) as error:
                if time.monotonic() > until:
                    raise self._lost(str(error)) from error
            time.sleep(1)

    def _lost(self, error: str) -> Unreachable:
        server: Any = getattr(self._config, self._config.WhichOneof("config"))
        why = " ".join(error.split())[:200]
        return Unreachable(
            f"the database on {server.host}:{server.port} was lost ({why}): run the same command again, it "
            "goes on"
        )


class OwnStore:
    """Has all methods of a `MetadataStore`; those that return everything return what is of one pipeline.

    What is asked for by the id of an artifact, execution or context of its own is its own. The names of runs
    are without that of the pipeline.
    """

    def __init__(self, store: Any, pipeline: str):
        """Args: store: the store of all. pipeline: name of the pipeline."""
        self._store, self._pipeline, self._prefix = store, pipeline, f"{pipeline}."

    def __getattr__(self, name: str) -> Any:
        if name in ("get_executions_by_type", "get_contexts", "get_context_by_type_and_name"):
            raise AttributeError(f"{name} is not limited to one pipeline yet")
        return getattr(self._store, name)

    def get_artifacts(self) -> list[mlmd.Artifact]:
        """Returns all artifacts."""
        own = self._own()
        return list(self._store.get_artifacts_by_context(own.id)) if own else []

    def get_artifacts_by_type(self, kind: str) -> list[mlmd.Artifact]:
        """Returns all artifacts of a type."""
        return [artifact for artifact in self.get_artifacts() if artifact.type == kind]

    def get_executions(self) -> list[mlmd.Execution]:
        """Returns all executions."""
        own = self._own()
        return list(self._store.get_executions_by_context(own.id)) if own else []

    def get_contexts_by_type(self, kind: str) -> list[mlmd.Context]:
        """Returns the pipeline, all its runs, or all its nodes."""
        if kind == _PIPELINE:
            own = self._own()
            return [own] if own else []
        if kind not in (_RUN, _NODE):
            raise ValueError(f"contexts of type {kind} are of no pipeline")
        found = self._store.get_contexts_by_type(kind)
        return self._named([context for context in found if context.name.startswith(self._prefix)])

    def get_contexts_by_execution(self, execution: int) -> list[mlmd.Context]:
        """Returns the contexts of an execution."""
        return self._named(self._store.get_contexts_by_execution(execution))

    def put_contexts(self, contexts: Iterable[mlmd.Context]) -> list[int]:
        """Writes contexts; runs by their names without that of the pipeline."""
        written = []
        for context in contexts:
            copy = mlmd.Context()
            copy.CopyFrom(context)
            if context.type == _RUN:
                copy.name = self._prefix + copy.name
            written.append(copy)
        return list(self._store.put_contexts(written))

    def _own(self) -> mlmd.Context | None:
        return self._store.get_context_by_type_and_name(_PIPELINE, self._pipeline)

    def _named(self, contexts: list[mlmd.Context]) -> list[mlmd.Context]:
        for context in contexts:
            if context.type == _RUN:
                context.name = context.name.removeprefix(self._prefix)
        return contexts


def _rewritten(value: Any, old: str, new: str) -> Any:
    """A copy of what a store takes or returns, with a character of its texts replaced by another."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list | tuple):
        return type(value)(_rewritten(part, old, new) for part in value)
    if isinstance(value, mlmd.Artifact | mlmd.Execution | mlmd.Context):
        copy = type(value)()
        copy.CopyFrom(value)
        for name in ("uri", "name"):
            if old in getattr(copy, name, ""):
                setattr(copy, name, getattr(copy, name).replace(old, new))
        for held in (*copy.properties.values(), *copy.custom_properties.values()):
            if old in held.string_value:
                held.string_value = held.string_value.replace(old, new)
        return copy
    return value


def own_store(store: Any, pipeline: str) -> Any:
    """Returns a store as one pipeline sees it; a root without a name of its own has a file of its own.

    Args:
        store: the store of all.
        pipeline: name of the root's pipeline.
    """
    return store if pipeline == MODEL_NAME else OwnStore(store, pipeline)


def open_store(root: Root) -> Any:
    """Opens the store of a root for writing; the caller holds the lock of the root.

    Raises:
        StoreError: it cannot be opened.
    """
    place = place_of(root)
    return own_store(connect(connection(root)), place.pipeline if place else MODEL_NAME)


def connect(config: mlmd.ConnectionConfig) -> Any:
    """Opens a store: a file at once, a server as soon as it answers; raises `StoreError`."""
    return MetadataStore(config) if config.HasField("sqlite") else PatientStore(config)
