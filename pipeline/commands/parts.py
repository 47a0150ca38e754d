"""A run in parts: which run a process goes on with, and whether that is possible."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import stages
from pipeline.history import lease, run_ids
from pipeline.history.parts import is_done, next_stage
from pipeline.history.record import FINISHED, WAITING
from pipeline.history.runs import KILLED, UNKNOWN, Run, ids, load
from pipeline.root import Root
from pipeline.terminal.command import part_command
from unet.errors import BadInput


class NothingToDo(Exception):
    """The run, or its part, is finished; the message says so, and `status` is that of the run."""

    def __init__(self, sentence: str, status: str):
        """Args: sentence: what is told to the user. status: the status of the run."""
        super().__init__(sentence)
        self.status = status


def require_begun(root: Root, stage: str, arguments: Sequence[str]) -> None:
    """Refuses a later stage where there is no root yet, so that none is made; raises `BadInput`."""
    if stage not in ("", stages.FIRST) and not root.path.is_dir():
        raise BadInput(f"{root.path}: {_missing(stage, '', stages.FIRST, arguments)}")


def find(root: Root, stage: str, run_id: str, arguments: Sequence[str]) -> Run | None:
    """Finds the run that this process goes on with; returns None for a new run.

    Args:
        root: root folder, whose lock the caller holds.
        stage: the stage to run; empty for all that is left.
        run_id: id of the run; empty for a new one.
        arguments: words of the command line that all parts of the run share.

    Raises:
        Leased: another run keeps the root.
        NothingToDo: the run, or this stage of it, is finished.
        BadInput: there is no such run to go on with; the message says what to do.
    """
    lease.require_free(root, run_id)
    known = ids(root.path)
    if run_id not in known:
        if run_ids.is_made(run_id):
            raise BadInput(
                f"{root.path}: no run {run_id}; ids like this are made here: give another --run-id"
            )
        if stage not in ("", stages.FIRST):
            raise BadInput(f"{root.path}: {_missing(stage, run_id, stages.FIRST, arguments)}")
        return None
    run = load(root.path, run_id)
    if run.status in FINISHED:
        raise NothingToDo(_ending(run), run.status)
    if run.status == KILLED and not run.record.started:  # before its record was written: it begins now
        return None
    if run.status == UNKNOWN or not run.record.started:
        raise BadInput(f"run {run_id}: {run.reason or 'its record is gone'}: give another --run-id")
    kept = lease.read(root)
    # A lease of its own says that no other run began since, whatever the clock did.
    if known[-1] != run_id and not (kept and kept.run == run_id):
        raise BadInput(
            f"run {run_id} was left unfinished ({run.status}), and run {known[-1]} came after it: "
            "give another --run-id"
        )
    pending = next_stage(run.nodes)
    if stage and pending and stages.NAMES.index(pending) < stages.NAMES.index(stage):
        raise BadInput(f"run {run_id}: {_missing(stage, run_id, pending, arguments)}")
    if stage and run.record.status == WAITING and is_done(stage, run.nodes):
        lease.renew(root, run_id, pending, run.config.get("lease_minutes", 0))
        told = f"Run {run_id}: {stage} is done; next: {part_command(pending, run_id, arguments)}"
        raise NothingToDo(told, WAITING)
    return run


def require_same(run: Run, config: Mapping[str, Any], options: Mapping[str, bool]) -> None:
    """Refuses settings that differ from those that a run began with.

    Args:
        run: the run to go on with.
        config: every setting of this process by its name.
        options: the options of the command line beside the settings, by name.

    Raises:
        BadInput: a setting differs; the message names the first one.
    """
    began = run.record.options
    pairs = [(name, run.config.get(name, value), value) for name, value in config.items()]
    pairs = [
        pair for pair in pairs if pair[0] != "channels" or pair[2] != "auto"
    ]  # resolved by the first part
    pairs += [(f"--{name}", began.get(name, value), value) for name, value in options.items()]
    for name, then, now in pairs:
        # As JSON: the order of the classes counts.
        if json.dumps(then) != json.dumps(now):
            raise BadInput(
                f"{name} is {json.dumps(now)}, but run {run.id} began with {json.dumps(then)}: all parts "
                "of a run have the same settings; give those, or another --run-id"
            )


def _missing(stage: str, run_id: str, needed: str, arguments: Sequence[str]) -> str:
    return f"{stage} needs what {needed} makes: first {part_command(needed, run_id, arguments)}"


def _ending(run: Run) -> str:
    words = run.status.replace("_", " ")
    return f"Run {run.id} is finished: {words}{f' ({run.reason})' if run.reason else ''}; nothing was done"


def goes_on(run: Run) -> str:
    """Returns the command of the next part of a run that is made in parts; empty if none is to come."""
    stage = next_stage(run.nodes) or stages.NAMES[-1]
    if not run.record.stage or run.status not in (WAITING, KILLED, "interrupted"):
        return ""
    return part_command(stage, run.id, run.record.arguments)
