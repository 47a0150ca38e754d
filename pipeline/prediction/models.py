"""Finds the exported models that a command uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.root import Root
from pipeline.terminal.command import command
from unet.registry.versions import newest_version, version_number, versions


def find_models(given: Sequence[str | Path], root: Root) -> tuple[list[Path], list[str]]:
    """Returns the folders of the given models, and a message for each model that does not exist.

    Args:
        given: folders of SavedModels, folders of versions (the newest one is used), numbers of versions, or
            ids of runs, of which "latest" is the newest; if empty, the newest version is used.
        root: root folder of the pipeline.
    """
    serving = root.serving
    if not given:
        version = newest_version(serving)
        if version is None:
            advice = (
                f"run `{command('run')}` first, or give --model (a run that was not blessed names its "
                "model at its end, and in its summary.json)"
            )
            return [], [f"{serving}: no model was pushed yet: {advice}"]
        return [serving / str(version)], []
    found, problems = [], []
    for text in map(str, given):
        path = Path(text)
        if not path.exists() and (number := version_number(text)) is not None:
            path = serving / text
            if number not in versions(serving):
                listed = ", ".join(map(str, versions(serving))) or "none"
                problems.append(f"{serving}: no version {text}; there are: {listed}")
        elif not path.exists() and path.name == text:
            path, more = _model_of_run(text, root)
            problems += more
        elif (newest := newest_version(path)) and not (path / "saved_model.pb").is_file():
            path /= str(newest)
        elif not (path / "saved_model.pb").is_file():
            problems.append(f"{path}: not a SavedModel: give the folder that holds saved_model.pb")
        found.append(path)
    return found, problems


def find_model(given: str | None, root: Root) -> tuple[Path, list[str]]:
    """Returns the folder of one model, and a message if it does not exist.

    Args:
        given: the model, as `find_models` takes it; None for the newest version.
        root: root folder of the pipeline.
    """
    found, problems = find_models([given] if given else [], root)
    return (found or [root.serving])[0], problems


def _model_of_run(run_id: str, root: Root) -> tuple[Path, list[str]]:
    # ML Metadata is loaded for this alone.
    from pipeline.history.outcome import model_path
    from pipeline.history.runs import HistoryError, load

    try:
        run = load(root.path, run_id)
    except HistoryError as error:
        return root.serving, [f"{run_id}: no folder of this name, and no run: {error}"]
    model = run.artifact("Trainer", "model")
    if model is None:
        return root.serving, [f"run {run.id} has no model: it ended before one was trained ({run.status})"]
    path = model_path(model)
    gone = [] if (path / "saved_model.pb").is_file() else [f"{path}: the model of run {run.id} is gone"]
    return path, gone
