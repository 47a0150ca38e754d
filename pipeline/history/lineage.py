"""The lineage of a model: its data, its training and the version that holds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.history.executions import CACHED, Push
from pipeline.history.outcome import model_path
from pipeline.history.runs import HistoryError, Run, load, pushes
from pipeline.root import Root
from unet.registry.model_card import read_card
from unet.registry.records import digest
from unet.registry.versions import versions


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The lineage from the data to the version that holds the model, as far as the run got.

    Attributes:
        data_hash: fingerprint of the images, the masks and their splits.
        data_run: id of the run that read the data.
        model: folder of the SavedModel.
        model_id: id of the model in ML Metadata; 0 if there is no model yet.
        model_run: id of the run that trained the model.
        version: folder of the version that holds the model, or empty.
        pushed: who deployed the version: a run or a person.
    """

    data_hash: str = ""
    data_run: str = ""
    model: str = ""
    model_id: int = 0
    model_run: str = ""
    version: str = ""
    pushed: str = ""


def lineage(root: Path, run: Run) -> Lineage:
    """Finds the origin of a run's data and model; cached ones were made by other runs."""
    found: dict[str, str | int] = {}
    if examples := run.artifact("ImageMaskExampleGen", "examples"):
        found |= {"data_hash": examples.text("fingerprint"), "data_run": _maker(run, "ImageMaskExampleGen")}
    if model := run.artifact("Trainer", "model"):
        found |= {"model": model.uri, "model_id": model.id, "model_run": _maker(run, "Trainer")}
    if run.pushes:
        found |= {"version": run.pushes[-1].folder, "pushed": run.pushes[-1].by}
    elif (same := run.artifact("Pusher", "pushed_model")) and same.text("pushed_destination"):
        number = Path(same.text("pushed_destination")).name
        before = [push for push in pushes(root) if push.version == number]
        found |= {"version": same.text("pushed_destination"), "pushed": before[-1].by if before else ""}
    return Lineage(**found)  # type: ignore[arg-type]


def run_of_version(root: Path, version: int) -> tuple[Run, str]:
    """Finds the run that trained the model of a version, and describes how it was deployed otherwise.

    Raises:
        HistoryError: there is no such version, or its origin is unknown; the message says which.
    """
    serving = Root.at(root).serving
    known = {push.version: push for push in pushes(root)}
    sentences: list[str] = []
    number = version
    while not (push := known.get(str(number))):
        card = read_card(serving / str(number))
        before = card.get("rolled_back_to")
        if not isinstance(before, int) or len(sentences) > len(known):
            run = _run_of_card(root, serving / str(number), card)
            if not run:
                raise HistoryError(_unknown(serving, version, number))
            sentences.append(f"version {number} was pushed by a process that was killed before it noted that")
            return run, "; ".join(sentences)
        sentences.append(f"version {number} is a copy of version {before}, which a rollback brought back")
        number = before
    if push.withdrawn:
        sentences.append(f"version {push.version} was withdrawn by a rollback")
    return load(root, push.run), "; ".join([*sentences, *_promotion(push)])


def _run_of_card(root: Path, version: Path, card: Mapping[str, Any]) -> Run | None:
    """The run that a version's card names, unless a run of another root that shares the serving folder."""
    try:
        run = load(root, str(card.get("run", "")))
    except HistoryError:
        return None
    model = run.artifact("Trainer", "model")
    if not model:
        return None
    # Without the files of the model, the card must do.
    is_other = (model_path(model) / "saved_model.pb").is_file() and digest(model_path(model)) != digest(
        version
    )
    return None if is_other else run


def _promotion(push: Push) -> list[str]:
    return [f"version {push.version} was {push.by}"] if push.reason else []


def _unknown(serving: Path, version: int, number: int) -> str:
    there = versions(serving)
    if number != version:
        return f"{serving}: version {version} is a copy of version {number}, of which no run is known"
    if version in there:
        return f"{serving}: no run under this root pushed version {version}; its model_card.md may tell"
    return f"{serving}: no version {version}; there are: {', '.join(map(str, there[-5:])) or 'none'}"


def _maker(run: Run, name: str) -> str:
    node = run.node(name)
    return node.same_as if node and node.state == CACHED else run.id
