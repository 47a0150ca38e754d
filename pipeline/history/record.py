"""`runs/<id>/run.json`: what a run says of itself, from its first moment on.

It is written whole or not at all: at the start, after every component, and at the end. A record without an
end whose process is gone is that of a run that was killed.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from unet.files import atomic_write

RECORD = "run.json"
LIBRARIES = ("tfx", "tensorflow", "keras", "apache-beam")
RUNNING = "running"


class Unreadable(ValueError):
    """A file of a run that cannot be used; the message says which, and why."""


@dataclasses.dataclass
class RunRecord:
    """What a run says of itself.

    Attributes:
        run_id: name of the run's folder.
        started: ISO 8601, with the offset from UTC.
        command: what was typed, to be pasted again.
        profile: name or file of the profile.
        config: every setting, by name.
        changed: the settings that differ from the defaults.
        versions: of Python and of the libraries that compute.
        process: its number; the one in the lock file of the root while it is alive.
        nodes: names of all components in their order; empty until the graph is made.
        components: for each finished component `seconds` and `peak_memory_mb`.
        status: running, pushed, unchanged, not_blessed, failed, bad_input or interrupted.
        reason: of the status, for people.
        seconds: from start to end; 0 while it runs.
        peak_memory_mb: the highest of the whole run; 0 where it is not known.
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
    components: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    status: str = RUNNING
    reason: str = ""
    seconds: float = 0.0
    peak_memory_mb: int = 0

    @classmethod
    def begin(
        cls, run_id: str, command: str, profile: str, config: dict[str, Any], changed: dict[str, Any]
    ) -> RunRecord:
        """The record of a run of this process that begins now; the arguments are its attributes."""
        versions = {"python": sys.version.split()[0]}
        versions |= {name: importlib.metadata.version(name) for name in LIBRARIES}
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(run_id, started, command, profile, config, changed, versions, os.getpid())

    def write(self, folder: Path) -> None:
        """Writes the file in the folder of the run; raises OSError."""
        write_json(folder / RECORD, dataclasses.asdict(self))


def read_record(folder: Path) -> RunRecord:
    """The record of the run in a folder; fields of newer programs are left out.

    Raises:
        FileNotFoundError: there is none.
        Unreadable: it cannot be used.
    """
    values = read_json(folder / RECORD)
    known = {field.name: field for field in dataclasses.fields(RunRecord)}
    try:
        record = RunRecord(**{key: value for key, value in values.items() if key in known})
    except TypeError:
        raise Unreadable(f"{folder / RECORD}: it lacks run_id or started") from None
    for name in known:
        given, wanted = getattr(record, name), getattr(RunRecord("", ""), name)
        if not isinstance(given, (int, float) if isinstance(wanted, float) else type(wanted)):
            raise Unreadable(f"{folder / RECORD}: {name} is {given!r}")
    return record


def moment(text: str) -> datetime | None:
    """When a run started, of its record; None where that is no time."""
    for pattern in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"):
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; raises FileNotFoundError, or Unreadable with a sentence."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except ValueError as error:  # neither UTF-8 nor JSON
        raise Unreadable(f"{path}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise Unreadable(f"{path}: not a JSON object")
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replaces a file by JSON, whole or not at all; raises OSError."""
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(text)
