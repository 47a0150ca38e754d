"""Which runs, versions and artifacts are needed, and why: all else under the root may be deleted.

Needed are the newest runs; the runs of the models that are in service, that a rollback may return to, or that
the gate, a warm start or the comparison of data may take from ML Metadata; and the newest complete outputs of
each component, which the next run takes from the cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.executions import Push
from pipeline.history.outcome import SERVED
from pipeline.history.promotion import blessings, int_of, text_of
from pipeline.history.record import Unreadable, moment, read_record
from pipeline.history.runs import ids, pushes
from pipeline.retention.settings import Retention
from pipeline.root import Root
from unet.files import raise_passing
from unet.registry.model_card import hashes, read_card
from unet.registry.records import training_record
from unet.registry.versions import settle, versions

_COMPLETE = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
_OUTPUTS = (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT, mlmd.Event.INTERNAL_OUTPUT)
_FOR_EACH_CLASSES = 2  # the last blessed model may be the candidate itself: then the one before is compared


@dataclasses.dataclass
class Needs:
    """What must stay.

    Attributes:
        runs: why each needed run stays, by its id.
        others: ids of the runs that are not needed.
        versions: why each needed version stays, by its number.
        artifacts: ids of the needed artifacts in ML Metadata.
        since: start of the oldest of the newest runs in seconds since the epoch; 0 if there are not more
            runs than these.
    """

    runs: dict[str, str]
    others: list[str]
    versions: dict[int, str]
    artifacts: set[int]
    since: float


def find_needs(root: Root, store: Any, settings: Retention) -> Needs:
    """Finds what must stay under a root, whose lock the caller holds.

    Args:
        root: root folder with ML Metadata.
        store: an open `ml_metadata.MetadataStore`.
        settings: how much stays.
    """
    known = ids(root.path)
    newest = known[-settings.keep_runs :]
    kept = _Kept(root, store, known)
    kept.runs = dict.fromkeys(newest, f"one of the newest {settings.keep_runs} runs")
    kept.keep_versions(settings.keep_versions)
    kept.keep_blessed(max(settings.keep_versions, _FOR_EACH_CLASSES))
    kept.keep_outputs()
    since = _began(root, newest) if len(known) > len(newest) else 0.0
    others = [run for run in known if run not in kept.runs]
    return Needs(kept.runs, others, kept.versions, kept.artifacts, since)


class _Kept:
    """Collects what stays."""

    def __init__(self, root: Root, store: Any, known: list[str]):
        self.runs: dict[str, str] = {}
        self.versions: dict[int, str] = {}
        self.artifacts: set[int] = set()
        self._root, self._store, self._known = root, store, set(known)
        self._pushes: dict[str, Push] = {push.version: push for push in pushes(root.path)}

    def keep_versions(self, count: int) -> None:
        """Keeps the newest good models, all versions among them, and the runs of all versions that stay."""
        present = versions(self._root.serving)
        origins = {version: self._origin(version) for version in present}
        own = [version for version in reversed(present) if origins[version][0]]
        withdrawn = settle(self._root.serving) if len(own) > count else frozenset()
        good: set[str] = set()
        for version in own:
            if len(own) > count:
                if len(good) == count:
                    break
                found = hashes(self._root.serving / str(version))
                if len(found) == 1:  # no rollback returns to a damaged version
                    good |= found - withdrawn
            self.versions[version] = f"the newest {count} good models are among this and later versions"
        for version in set(present) - set(own):
            self.versions[version] = "no run of this root is known to have pushed it"
        for version in list(self.versions):
            run, copies = origins[version]
            for copy in copies:
                self.versions.setdefault(copy, f"version {version} is a copy of it")
            self._keep_run(run, f"version {version} holds its model")

    def _origin(self, version: int) -> tuple[str, list[int]]:
        """The run that pushed a version, empty if not known, and the versions that it is a copy of."""
        seen: list[int] = []
        while version not in seen:
            if push := self._pushes.get(str(version)):
                return push.run, seen[1:]
            seen.append(version)
            card = read_card(self._root.serving / str(version))
            before = card.get("rolled_back_to")
            if not isinstance(before, int):
                run = str(card.get("run", ""))
                return run if run in self._known else "", seen[1:]
            version = before
        return "", seen[1:]

    def keep_blessed(self, count: int) -> None:
        """Keeps the last blessed models, also of each list of classes, with the runs that judged them."""
        seen: set[int] = set()
        of_classes: dict[str, int] = {}
        for blessing in blessings(self._store):
            model, folder = int_of(blessing, "current_model_id"), Path(text_of(blessing, "current_model"))
            if model in seen or not (folder / SERVED / "saved_model.pb").is_file():
                if model in seen and model in self.artifacts:
                    self.artifacts.add(blessing.id)
                continue
            seen.add(model)
            classes = _classes(folder / SERVED)
            of_classes[classes] = of_classes.get(classes, 0) + 1
            if len(seen) > count and of_classes[classes] > _FOR_EACH_CLASSES:
                continue
            self.artifacts |= {blessing.id, model}
            for run in self._judges(blessing):
                self._keep_run(run, "its model is one of the last blessed ones")

    def _judges(self, blessing: mlmd.Artifact) -> list[str]:
        """The run whose model a person promoted, or the newest run that blessed the model."""
        if run := text_of(blessing, "run"):
            return [run]
        events = self._store.get_events_by_artifact_ids([blessing.id])
        newest = max((event.execution_id for event in events if event.type in _OUTPUTS), default=0)
        found = self._store.get_contexts_by_execution(newest) if newest else []
        return [context.name for context in found if context.type == "pipeline_run"]

    def keep_outputs(self) -> None:
        """Keeps the outputs of the runs that stay, and the newest complete ones of each component."""
        kinds = {kind.name for kind in self._store.get_context_types()}
        for context in self._store.get_contexts_by_type("pipeline_run") if "pipeline_run" in kinds else []:
            if context.name in self.runs:
                self._keep_outputs_of(self._complete(context))
        for context in self._store.get_contexts_by_type("node") if "node" in kinds else []:
            self._keep_outputs_of(sorted(self._complete(context))[-1:])
        for artifact in self._store.get_artifacts():
            if text_of(artifact, "run") in self.runs:  # of a promotion, which belongs to no run
                self.artifacts.add(artifact.id)

    def _complete(self, context: mlmd.Context) -> list[int]:
        found = self._store.get_executions_by_context(context.id)
        return [execution.id for execution in found if execution.last_known_state in _COMPLETE]

    def _keep_outputs_of(self, executions: Iterable[int]) -> None:
        events = self._store.get_events_by_execution_ids(list(executions)) if executions else []
        self.artifacts |= {event.artifact_id for event in events if event.type in _OUTPUTS}

    def _keep_run(self, run: str, why: str) -> None:
        if run in self._known:
            self.runs.setdefault(run, why)


def _classes(model: Path) -> str:
    try:
        return repr(training_record(model).get("classes"))
    except (OSError, ValueError) as error:  # damaged: no model of any classes can be compared with it
        raise_passing(error)
        return ""


def _began(root: Root, runs: Iterable[str]) -> float:
    """The start of the oldest run whose record can be read, in seconds since the epoch; 0 if none can."""
    for run in runs:
        try:
            started = moment(read_record(root.run(run)).started)
        except (OSError, Unreadable) as error:
            raise_passing(error)
            continue
        if started:
            return started.timestamp()
    return 0.0
