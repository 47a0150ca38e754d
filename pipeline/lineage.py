"""Which data and which settings made a model, and what became of it: the questions one asks of a version."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from components.model_card import read_card
from components.versions import versions
from pipeline import history
from pipeline.executions import Executions, StoreError
from pipeline.history import CACHED, HistoryError, Run
from pipeline.layout import Root


@dataclasses.dataclass(frozen=True)
class Lineage:
    """From the data to the version that holds the model, as far as a run came.

    Attributes:
        data_hash: fingerprint of the images, the masks and their splits.
        data: folder that they were read from.
        data_run: the run that read them.
        model: folder of the SavedModel.
        model_id: its id in ML Metadata; 0 before there is a model.
        model_run: the run that trained it.
        version: folder of the pushed version, or empty.
        pushed_run: the run that pushed it.
    """

    data_hash: str = ""
    data: str = ""
    data_run: str = ""
    model: str = ""
    model_id: int = 0
    model_run: str = ""
    version: str = ""
    pushed_run: str = ""


def lineage(root: Path, run: Run) -> Lineage:
    """Where what a run has comes from; what it took from the cache, other runs made."""
    found: dict[str, Any] = {}
    if examples := run.artifact("ImageMaskExampleGen", "examples"):
        found |= {"data_hash": examples.text("fingerprint"), "data": str(run.config.get("data", ""))}
        found["data_run"] = _maker(run, "ImageMaskExampleGen")
    if model := run.artifact("Trainer", "model"):
        found |= {"model": model.uri, "model_id": model.id, "model_run": _maker(run, "Trainer")}
    if (pushed := run.artifact("Pusher", "pushed_model")) and pushed.text("pushed_destination"):
        found["version"] = pushed.text("pushed_destination")
        new = pushed.properties.get("pushed") == 1
        found["pushed_run"] = run.id if new else _pusher(root, Path(found["version"]).name)
    return Lineage(**found)


def run_of_version(root: Path, version: int) -> tuple[Run, str]:
    """The run that pushed a version, and a sentence where it is a copy of the one that the run pushed.

    Raises:
        HistoryError: there is no such version, or nobody knows where it came from; the message says which.
    """
    serving = Root(root.absolute()).serving
    copied = []
    number = version
    while not (run_id := _pusher(root, str(number))):
        before = read_card(serving / str(number)).get("rolled_back_to")
        if not isinstance(before, int) or before == number or before in copied:
            raise HistoryError(_unknown(serving, version, number))
        copied.append(before)
        number = before
    sentence = f"version {version} is a copy of version {number}, which a rollback brought back"
    return history.load(root, run_id), sentence if copied else ""


def _unknown(serving: Path, version: int, number: int) -> str:
    there = versions(serving)
    if number != version:
        return f"{serving}: version {version} is a copy of version {number}, of which no run is known"
    if version in there:
        return f"{serving}: no run under this root pushed version {version}; its model_card.md may tell"
    return f"{serving}: no version {version}; there are: {', '.join(map(str, there[-5:])) or 'none'}"


def _pusher(root: Path, version: str) -> str:
    try:
        return Executions(Root(root.absolute()).metadata).pusher(version)
    except StoreError as error:
        raise HistoryError(str(error)) from None


def _maker(run: Run, name: str) -> str:
    node = run.node(name)
    return node.same_as if node and node.state == CACHED else run.id
