"""Reads the runs of a root from ML Metadata and the folders of the runs, without TensorFlow.

Damaged files stop no function here: the `problems` of a run list the parts that cannot be read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.history import lease, outcome, run_ids
from pipeline.history.executions import (
    CACHED,
    DONE,
    FAILED,
    RUNNING,
    STOPPED,
    Artifact,
    Executions,
    Node,
    Push,
)
from pipeline.history.record import RECORD, WAITING, RunRecord, Unreadable, moment, read_record
from pipeline.history.store import Misplaced, require_place
from pipeline.metadata.place import StoreError, store_name
from pipeline.process.lock import holder
from pipeline.root import Root
from unet.files import raise_passing

KILLED, UNKNOWN = "killed", "unknown"
_STOPPED = ("interrupted", KILLED)  # of a run that ended so, no component failed
LATEST = "latest"


class HistoryError(ValueError):
    """There is no such root or run; the message lists the existing ones."""


@dataclasses.dataclass
class Run:
    """One run.

    Attributes:
        id: name of the run's folder.
        folder: folder of the log, the summary and the report; it may be missing.
        started: start time in ISO 8601.
        status: a status of `pipeline.history.record.RunRecord`; or killed, if the process ended without
            recording its end; or unknown, if the record is missing and the components do not show the end.
        reason: reason for the status, a text for users.
        seconds: duration in seconds, so far if the run has not ended.
        nodes: the components in their order.
        record: the record that the run kept of itself.
        problems: sentences about parts that could not be read.
        pushes: versions that hold the run's model, oldest first, with those that a person promoted.
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
        """Every setting by its name; empty if not known."""
        return self.record.config

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of the numerical libraries."""
        return self.record.versions

    def node(self, name: str) -> Node | None:
        """Returns a component by its name."""
        return next((node for node in self.nodes if node.name == name), None)

    def artifact(self, node: str, key: str) -> Artifact | None:
        """Returns the first output of a component for a key; None if the run did not get that far."""
        found = self.node(node)
        return found.first(key) if found else None


def runs(root: Path, last: int | None = None) -> list[Run]:
    """Returns the runs under a root, oldest first.

    Args:
        root: root folder of the pipeline.
        last: maximum number of runs, the newest ones; None for all.

    Raises:
        HistoryError: the root does not exist.
    """
    history = _History(root)
    return [history.run(name) for name in (history.names[-last:] if last else history.names)]


def ids(root: Path) -> list[str]:
    """Returns the ids of all runs under a root, oldest first; raises `HistoryError` if there is no root."""
    return _History(root).names


def newest_config(root: Path) -> dict[str, Any]:
    """Returns every setting of the newest run by its name; empty if they cannot be read."""
    try:
        return read_record(Root.at(root).run(ids(root)[-1])).config
    except (HistoryError, IndexError, OSError, Unreadable) as error:
        raise_passing(error)
        return {}


def pushes(root: Path) -> list[Push]:
    """Returns all versions that were deployed under a root, oldest first.

    Raises:
        HistoryError: the root does not exist, or ML Metadata cannot be read.
    """
    place = Root.at(root)
    if place.why_absent:
        raise HistoryError(place.why_absent)
    try:
        return Executions(place).pushes()
    except StoreError as error:
        raise HistoryError(str(error)) from None


def load(root: Path, run_id: str) -> Run:
    """Loads one run.

    Args:
        root: root folder of the pipeline.
        run_id: id of the run, or "latest".

    Raises:
        HistoryError: the root or the run does not exist.
    """
    history = _History(root)
    if not history.names:
        raise HistoryError(f"{root}: no run was made here yet")
    name = history.names[-1] if run_id == LATEST else run_id
    if name not in history.names:
        raise HistoryError(f"{root}: no run {run_id}; the newest are: {', '.join(history.names[-3:])}")
    return history.run(name)


class _History:
    """All records of runs under one root."""

    def __init__(self, root: Path):
        self._root = Root.at(root)
        if self._root.why_absent:
            raise HistoryError(self._root.why_absent)
        self._store: Executions | None = None
        self._problem = ""
        self._pushes: list[Push] = []
        try:
            self._store = Executions(self._root)
            self._pushes = self._store.pushes()
            require_place(self._root)
        except (StoreError, Misplaced) as error:
            self._problem = str(error)
        place = self._root.run("")
        folders = {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()
        known = folders | set(self._store.runs if self._store else ())
        self.names = sorted(known, key=lambda name: run_ids.order(name, self._start_of(name)))
        self._process = holder(self._root.lock)
        self._lease: lease.Lease | None = None
        with contextlib.suppress(Unreadable):  # who wants to begin a run is told
            self._lease = lease.read(self._root)

    def _start_of(self, name: str) -> datetime | None:
        """The start of a run whose id a user chose; None where the id says it, or nothing does."""
        if run_ids.is_made(name):
            return None
        try:
            return moment(read_record(self._root.run(name)).started)
        except (FileNotFoundError, Unreadable) as error:
            raise_passing(error)  # the order tells which run is the newest, and which is deleted first
            return None

    def run(self, name: str) -> Run:
        folder, problems = self._root.run(name), [self._problem] if self._problem else []
        record = _record(folder, name, problems)
        nodes: list[Node] = []
        if self._store:
            try:
                nodes = self._store.nodes(record.same_as or name)
            except StoreError as error:
                problems.append(str(error))
            if not nodes and record.nodes and record.components:
                problems.append(f"{store_name(self._root)}: it does not know run {name}")
        if record.same_as:
            nodes = [dataclasses.replace(node, state=CACHED, same_as=record.same_as) for node in nodes]
        began = _seconds_of(record.started) or (self._store.began(name) if self._store else 0.0)
        status, reason, seconds = record.status, record.reason, record.seconds
        if status == RUNNING:
            alive = self._process is not None and name == self.names[-1]
            silent = not record.started  # its record is missing
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
        elif status == WAITING and not (self._lease and self._lease.run == name and self._lease.is_valid()):
            status, reason = KILLED, f"its next part never came ({reason})"
        return Run(
            name,
            folder,
            record.started or (time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)) if began else ""),
            status,
            reason,
            round(seconds, 1),
            _complete(nodes, record, status, began + seconds),
            record,
            problems,
            [push for push in self._pushes if push.run == name],
        )


def _record(folder: Path, name: str, problems: list[str]) -> RunRecord:
    """Reads the record of a run; if it is missing or damaged, returns an empty one and adds a problem."""
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
    """Whether the last component of a run wrote its output."""
    finished = all(node.state in (DONE, CACHED) for node in nodes)
    return finished and any(node.first("pushed_model") for node in nodes)


def _complete(nodes: list[Node], record: RunRecord, status: str, end: float) -> list[Node]:
    """Adds the values of the record to the components, and the components that have not begun.

    Args:
        nodes: the components from ML Metadata.
        record: the record of the run.
        status: status of the run.
        end: end of the run, or the current time, in seconds since the epoch.
    """
    for node in nodes:
        recorded = record.components.get(node.name, {})
        # ML Metadata knows no other end of a component without outputs than failed.
        if status in _STOPPED and node.state in (RUNNING, FAILED):
            node.state = STOPPED
        elif node.state == RUNNING and status != RUNNING:
            node.state = FAILED
        if node.state in (RUNNING, FAILED, STOPPED):  # the next run closed the execution, much later
            node.seconds = round(max(end - node.began, 0.0), 1)
        node.seconds = float(recorded.get("seconds", node.seconds))
        node.peak_memory_mb = int(recorded.get("peak_memory_mb", 0))
    begun = {node.name: node for node in nodes}
    return [begun.pop(name, Node(name)) for name in record.nodes] + list(begun.values())


def _seconds_of(started: str) -> float:
    """Converts an ISO time to seconds since the epoch; 0 if the text is not a time."""
    when = moment(started)
    return when.timestamp() if when else 0.0


def _last_sign(folder: Path) -> float:
    """Returns the time of a killed run's last log line in seconds since the epoch; 0 without a log."""
    try:
        return (folder / "log.txt").stat().st_mtime
    except OSError:
        return 0.0
