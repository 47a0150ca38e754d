"""`runs/<id>/run.json`: the record that a run keeps of itself from its start.

The file is replaced atomically at the start, after every component, and at the end. A record without an end
whose process is gone belongs to a run that was killed.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unet.files import atomic_write

RECORD, SUMMARY, REPORT = "run.json", "summary.json", "report.html"  # in the folder of a run
LIBRARIES = ("tfx", "tensorflow", "keras", "apache-beam")
RUNNING, WAITING = "running", "waiting"  # the latter: for the next part of the run
FINISHED = ("pushed", "unchanged", "not_blessed")  # of a run that came to its end


class Unreadable(ValueError):
    """A file of a run cannot be used; the message says which file, and why."""


@dataclasses.dataclass
class RunRecord:
    """The record that a run keeps of itself.

    Attributes:
        run_id: name of the run's folder.
        started: time of the start in ISO 8601, with the offset from UTC.
        command: the command line, ready to be pasted into a shell.
        profile: name or file of the profile.
        config: every setting by its name.
        changed: the settings that differ from the defaults.
        versions: versions of Python and of the numerical libraries.
        process: id of the process; the lock file of the root holds it while the process is alive.
        nodes: names of all components in their order; empty until the graph is created.
        components: `seconds` and `peak_memory_mb` of each finished component, measured by
            `pipeline.commands.run`.
        status: running, waiting, pushed, unchanged, not_blessed, failed, bad_input or interrupted.
        reason: reason for the status, a text for users.
        seconds: duration of the run, of all its parts together; 0 until the end of the first one.
        peak_memory_mb: peak memory of the run; 0 if not known.
        machine: what tells the next run whether the kernel killed this one, see `pipeline.history.plan`.
        smaller_plan: reason for the smaller plan of `unet.images.capacity`; empty for the whole plan.
        stage: the stage of the part that was the last to begin; empty for a run in one process.
        arguments: words of the command line that all parts of the run share.
        options: what the first part found out or was told beside the settings: `skip` (names of samples to
            leave out, or None), `skip-bad`, `rebaseline`, and `memory`, bytes that the whole plan needs.
        given: what the first part was given, see `pipeline.reuse.unchanged.given`; empty if not known.
        same_as: id of the run whose components are those of this one, which ran none, as nothing was new.
    """

    run_id: str
    started: str
    command: str = ""
    profile: str = ""
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    changed: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    process: int = 0
    nodes: list[str] = dataclasses.field(default_factory=list)
    components: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    status: str = RUNNING
    reason: str = ""
    seconds: float = 0.0
    peak_memory_mb: int = 0
    machine: dict[str, Any] = dataclasses.field(default_factory=dict)
    smaller_plan: str = ""
    stage: str = ""
    arguments: list[str] = dataclasses.field(default_factory=list)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    given: dict[str, str] = dataclasses.field(default_factory=dict)
    same_as: str = ""

    @classmethod
    def begin(
        cls, run_id: str, command: str, profile: str, config: dict[str, Any], changed: dict[str, Any]
    ) -> RunRecord:
        """Creates the record of a run that begins now; see the attributes for the arguments."""
        versions = {"python": sys.version.split()[0]}
        versions |= {name: importlib.metadata.version(name) for name in LIBRARIES}
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(run_id, started, command, profile, config, changed, versions, os.getpid())

    def go_on(self, command: str) -> None:
        """Notes that this process continues the run."""
        self.status, self.reason, self.process, self.command = RUNNING, "", os.getpid(), command

    def write(self, folder: Path) -> None:
        """Writes the file into the folder of the run; raises OSError."""
        write_json(folder / RECORD, dataclasses.asdict(self))


# The settings of a run that commands read in its record, and their types.
_SETTINGS = {"background": str, "classes": dict, "push_to": str, "select_by": str, "thresholds": dict}


def read_record(folder: Path) -> RunRecord:
    """Reads the record in the folder of a run; ignores fields of newer versions of the project.

    Raises:
        FileNotFoundError: the file does not exist.
        Unreadable: the file cannot be used.
    """
    values = require_fields(folder / RECORD, read_json(folder / RECORD), RunRecord)
    record = RunRecord(**values)
    for name, kind in _SETTINGS.items():
        if not isinstance(value := record.config.get(name, kind()), kind):
            raise Unreadable(f"{folder / RECORD}: config.{name} is {value!r}")
    return record


def require_fields(path: Path, values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Returns what a file says of the fields of a dataclass, without others, which a newer version wrote.

    Args:
        path: the file, for the message.
        values: its content.
        kind: the dataclass.

    Raises:
        Unreadable: a field is missing, or of another type.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    values = {key: value for key, value in values.items() if key in known}
    try:
        if kind not in _types:
            _types[kind] = TypeAdapter(kind)
        # A path need not be text; of what stands for its bytes only the type matters here.
        text = json.dumps(values, ensure_ascii=False).encode(errors="replace")
        _types[kind].validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        found = "is missing" if first["type"] == "missing" else f"is {first['input']!r}"
        raise Unreadable(f"{path}: {name} {found}") from None
    return values


_types: dict[type[Any], TypeAdapter[Any]] = {}  # made once for each dataclass


def moment(text: str) -> datetime | None:
    """Parses the start time of a run's record; returns None if the text is not a time."""
    for pattern in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"):
        try:
            when = datetime.strptime(text, pattern)
            when.astimezone(timezone.utc)  # of some years there is none
        except (OverflowError, ValueError):
            continue
        return when
    return None


def read_json(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file; raises FileNotFoundError, or Unreadable with a sentence."""
    try:
        values = json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except (RecursionError, ValueError) as error:  # the text is not UTF-8 or not JSON
        raise Unreadable(f"{path}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise Unreadable(f"{path}: not a JSON object")
    return values


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    raise ValueError(f"{text[:20]} is not a finite number")


def _bounded(text: str) -> int:
    if abs(value := int(text)) < 2**64:
        return value
    raise ValueError(f"{text[:20]}... has more than 64 bits")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replaces a file atomically by JSON; raises OSError."""
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(text)
