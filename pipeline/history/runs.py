"""What runs did: from ML Metadata and the folders of the runs. No TensorFlow, so that it answers at once.

Nothing here stops at what is broken: a run of which something cannot be read says so in its `problems`.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from pipeline.history import outcome
from pipeline.history.executions import (
    CACHED,
    DONE,
    FAILED,
    RUNNING,
    Artifact,
    Executions,
    Node,
    Push,
    StoreError,
)
from pipeline.history.record import RECORD, RunRecord, Unreadable, moment, read_record
from pipeline.process.lock import holder
from pipeline.root import Root

KILLED, UNKNOWN = "killed", "unknown"
LATEST = "latest"


class HistoryError(ValueError):
    """There is no such root or run; the message says what there is."""


@dataclasses.dataclass
class Run:
    """One run.

    Attributes:
        id: name of its folder.
        folder: where its log, summary and report are; it may be gone.
        started: ISO 8601.
        status: as in `pipeline.history.record.RunRecord`, or killed: its process ended without a word; or
            unknown: what it said of itself is gone, and its components do not tell how it ended.
        reason: of the status, for people.
        seconds: from start to end, or until now.
        nodes: its components in their order.
        record: what else it says of itself.
        problems: sentences about what could not be read.
        pushes: versions that hold its model, oldest first, also those that a person pushed.
    """

    id: str
    folder: Path
    started: str
    status: str
    reason: str
    seconds: float
    nodes: list[Node]
    record: RunRecord
    problems: list[str]
    pushes: list[Push] = dataclasses.field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """Every setting, by name; empty where it is not known."""
        return self.record.config

    @property
    def versions(self) -> dict[str, str]:
        """Of Python and of the libraries that compute."""
        return self.record.versions

    def node(self, name: str) -> Node | None:
        """A component by its name."""
        return next((node for node in self.nodes if node.name == name), None)

    def artifact(self, node: str, key: str) -> Artifact | None:
        """The first output of a key of a component; None if the run did not come as far."""
        found = self.node(node)
        return found.first(key) if found else None


def runs(root: Path, last: int | None = None) -> list[Run]:
    """The runs under a root, oldest first.

    Args:
        root: folder of everything the pipeline makes.
        last: only so many, the newest ones.

    Raises:
        HistoryError: there is no such folder.
    """
    history = _History(root)
    return [history.run(name) for name in (history.names[-last:] if last else history.names)]


def pushes(root: Path) -> list[Push]:
    """All versions that were put into service under a root, oldest first.

    Raises:
        HistoryError: there is no such folder, or ML Metadata cannot be read.
    """
    if not root.is_dir():
        raise HistoryError(f"{root}: there is no such folder: give --root")
    try:
        return Executions(Root(root.absolute()).metadata).pushes()
    except StoreError as error:
        raise HistoryError(str(error)) from None


def load(root: Path, run_id: str) -> Run:
    """One run.

    Args:
        root: folder of everything the pipeline makes.
        run_id: of the run, or "latest".

    Raises:
        HistoryError: there is no such folder or run.
    """
    history = _History(root)
    if not history.names:
        raise HistoryError(f"{root}: no run was made here yet")
    name = history.names[-1] if run_id == LATEST else run_id
    if name not in history.names:
        raise HistoryError(f"{root}: no run {run_id}; the newest are: {', '.join(history.names[-3:])}")
    return history.run(name)


class _History:
    """Everything under one root that tells of runs."""

    def __init__(self, root: Path):
        self._root = Root(root.absolute())
        if not root.is_dir():
            raise HistoryError(f"{root}: there is no such folder: give --root")
        self._store: Executions | None = None
        self._problem = ""
        self._pushes: list[Push] = []
        try:
            self._store = Executions(self._root.metadata)
            self._pushes = self._store.pushes()
        except StoreError as error:
            self._problem = str(error)
        place = self._root.run("")
        folders = {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()
        self.names = sorted(folders | set(self._store.runs if self._store else ()))
        self._process = holder(self._root.lock)

    def run(self, name: str) -> Run:
        folder, problems = self._root.run(name), [self._problem] if self._problem else []
        record = _record(folder, name, problems)
        nodes: list[Node] = []
        if self._store:
            try:
                nodes = self._store.nodes(name)
            except StoreError as error:
                problems.append(str(error))
            if not nodes and record.nodes and record.components:
                problems.append(f"{self._root.metadata}: it does not know run {name}")
        began = _seconds_of(record.started) or (self._store.began(name) if self._store else 0.0)
        status, reason, seconds = record.status, record.reason, record.seconds
        if status == RUNNING:
            alive = self._process is not None and name == self.names[-1]
            silent = not record.started  # it says nothing of itself (any more)
            if silent and _whole(nodes):
                status, reason = outcome.outcome(nodes)
                seconds = max(node.began + node.seconds for node in nodes) - began
            elif alive and record.process in (0, self._process):
                seconds = time.time() - began
            elif silent and (nodes or not folder.is_dir() or any(folder.glob("*.json"))):
                status, reason = UNKNOWN, "what it said of itself is gone"
                seconds = max(_last_sign(folder) - began, 0.0)
            else:
                status, reason = KILLED, "its process ended without a word"
                seconds = max(_last_sign(folder) - began, 0.0)
        return Run(
            name,
            folder,
            record.started or (time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)) if began else ""),
            status,
            reason,
            round(seconds, 1),
            _complete(nodes, record, status == RUNNING, began + seconds),
            record,
            problems,
            [push for push in self._pushes if push.run == name],
        )


def _record(folder: Path, name: str, problems: list[str]) -> RunRecord:
    """What a run says of itself; nothing, and a problem more, where that is gone or damaged."""
    try:
        return read_record(folder)
    except FileNotFoundError:
        if folder.is_dir():
            problems.append(f"{folder}: it has no {RECORD}: restore it, or delete the folder")
        else:
            problems.append(f"{folder}: the run's folder is gone: restore it to know more of the run")
    except Unreadable as error:
        problems.append(f"{error}: restore it, or delete {folder}")
    return RunRecord(name, "")


def _whole(nodes: list[Node]) -> bool:
    """Whether a run came to its end: the last component wrote what it writes."""
    finished = all(node.state in (DONE, CACHED) for node in nodes)
    return finished and any(node.first("pushed_model") for node in nodes)


def _complete(nodes: list[Node], record: RunRecord, alive: bool, end: float) -> list[Node]:
    """With what the record knows of them, and with those that are still to come.

    Args:
        nodes: as ML Metadata has them.
        record: of the run.
        alive: whether it is at work.
        end: when it ended, or now; in seconds since the epoch.
    """
    for node in nodes:
        recorded = record.components.get(node.name, {})
        if node.state == RUNNING and not alive:
            node.state = FAILED
        if node.state in (RUNNING, FAILED):  # the next run closed it, much later
            node.seconds = round(max(end - node.began, 0.0), 1)
        node.seconds = float(recorded.get("seconds", node.seconds))
        node.peak_memory_mb = int(recorded.get("peak_memory_mb", 0))
    begun = {node.name: node for node in nodes}
    return [begun.pop(name, Node(name)) for name in record.nodes] + list(begun.values())


def _seconds_of(started: str) -> float:
    """An ISO time in seconds since the epoch; 0 where it is none."""
    when = moment(started)
    return when.timestamp() if when else 0.0


def _last_sign(folder: Path) -> float:
    """When a run that was killed last wrote into its log, in seconds since the epoch; 0: never."""
    try:
        return (folder / "log.txt").stat().st_mtime
    except OSError:
        return 0.0
