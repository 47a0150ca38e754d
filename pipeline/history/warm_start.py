"""What a training starts from, or goes on from, by the name of a run or of a version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.settings import PipelineConfig
from pipeline.history.lineage import run_of_version
from pipeline.history.manifest import MANIFEST, damage
from pipeline.history.outcome import model_path
from pipeline.history.record import FINISHED
from pipeline.history.runs import HistoryError, Run, load
from pipeline.root import Root
from unet.errors import BadInput
from unet.files import hash_of, raise_passing
from unet.registry.records import digest, training_record
from unet.registry.versions import versions, withdrawn_versions
from unet.settings import Network
from unet.training.schedule import can_grow
from unet.training.settings import TrainSettings

_NETWORK = "network.keras"  # as unet.training.warm_start, which loads TensorFlow


def named_start(config: PipelineConfig, root: Root) -> dict[str, str]:
    """Returns what the Trainer is told of the model to start from; its cache key is made of it.

    Args:
        config: the configuration.
        root: root folder with the runs and versions.

    Raises:
        BadInput: the model is not there, is withdrawn or damaged, or has other classes or another network.
        OSError: its files could not be read for a reason that may pass.
    """
    if not config.starts_from_a_named_model:
        return {"warm_start": config.warm_start}
    try:
        folder = _usable(config, root)
    except (HistoryError, OSError, ValueError) as error:
        raise_passing(error)
        raise BadInput(
            f"warm_start = {config.warm_start}: {error}: name another model, or set warm_start=none"
        ) from None
    return {
        "warm_start": config.warm_start,
        "start_from": str(folder),
        "start_sha256": hash_of(folder / _NETWORK),
    }


def _usable(config: PipelineConfig, root: Root) -> Path:
    """The folder with the weights of the model; raises `ValueError` with the reason why there is none."""
    kind, _, name = config.warm_start.partition(":")
    run = load(root.path, name) if kind == "run" else run_of_version(root.path, int(name))[0]
    model, weights = run.artifact("Trainer", "model"), run.artifact("Trainer", "model_run")
    if model is None or weights is None:
        raise ValueError(f"run {run.id} has no model: it ended before one was trained ({run.status})")
    withdrawn = withdrawn_versions(root.serving)
    version = root.serving / name
    if kind == "version":
        if int(name) not in versions(root.serving):
            raise ValueError(f"there is no version {name} any more")
        if withdrawn.get(int(name)):
            raise ValueError(f"version {name} was withdrawn by a rollback")
    if not (weights.path / _NETWORK).is_file() or not (model_path(model) / "saved_model.pb").is_file():
        raise ValueError(f"the weights of run {run.id} are gone ({weights.path})")
    for artifact in (model, weights):
        if found := damage(artifact.path, artifact.text(MANIFEST), contents=True):
            raise ValueError(f"its files are damaged ({found})")
    known = digest(model_path(model))
    if kind == "version" and digest(version) != known:
        raise ValueError(f"{version} is damaged: it is not what run {run.id} made")
    if bad := [v for v, is_bad in withdrawn.items() if is_bad and digest(root.serving / str(v)) == known]:
        raise ValueError(f"its model is that of version {bad[0]}, which was withdrawn by a rollback")
    _require_fit(config, run, training_record(model_path(model)))
    return weights.path


def _require_fit(config: PipelineConfig, run: Run, record: dict[str, Any]) -> None:
    """Raises `ValueError` if the weights have no place in the network; the Trainer compares each of them."""
    now: dict[str, Any] = {
        name: getattr(config, name)
        for name in Network.model_fields
        if name not in ("base_filters", "dropout")
    }
    # A run from before one of these settings existed had what is its default now.
    then = {name: run.config.get(name, Network.model_fields[name].default) for name in now}
    if "base_filters" not in config.tune_over and config.tune == "never":
        now["base_filters"] = config.base_filters
    if config.channels != "auto":
        now["channels"] = config.channels
    now["classes"] = list(config.classes)
    then |= {name: record.get(name, now[name]) for name in now if name not in then}
    for name, value in now.items():
        if then[name] != value:
            raise ValueError(f"its network has {name} = {then[name]}, this one {name} = {value}")


def of_more_steps(before: Sequence[Run], config: PipelineConfig) -> str:
    """Says whether a training of more steps goes on from that of the last finished run; empty without one.

    Args:
        before: the runs so far, oldest first.
        config: the configuration of the new run.
    """
    run = next((run for run in reversed(before) if run.status in FINISHED), None)
    if run is None or config.minutes is not None:
        return ""
    now, then = TrainSettings.of(config).model_dump(mode="json"), run.config
    differing = [name for name, value in now.items() if then.get(name, value) != value]
    if differing != ["steps"] or not isinstance(then["steps"], int):
        return ""
    if config.steps < then["steps"] or then.get("data") != str(config.data):
        return ""
    if can_grow(config):
        return (
            f"The steps of run {run.id} are not repeated where data, code and libraries are the same: with "
            'schedule = "constant" the training goes on.'
        )
    return (
        f'The training begins anew: with schedule = "{config.schedule}" the learning rate of run {run.id} '
        f"fell to its end over {then['steps']} steps. To go on from its weights instead: "
        f"--set warm_start=run:{run.id}."
    )
