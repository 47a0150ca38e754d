"""What a training starts from by name, and why it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.config import profile
from pipeline.config.settings import PipelineConfig
from pipeline.graph import create_pipeline
from pipeline.history.manifest import MANIFEST, write_manifest
from pipeline.history.runs import load
from pipeline.history.warm_start import named_start, of_more_steps
from tests.open_files import none_left
from tests.pipeline.recorded_runs import RecordedRuns
from unet.errors import BadInput
from unet.files import hash_of
from unet.registry.records import TRAINING_RECORD
from unet.registry.versions import roll_back

RECORD = {"classes": ["background", "foreground"], "channels": 1, "base_filters": 8}


def trained(recorded: RecordedRuns, run_id: str, version: int = 0, **record: Any) -> None:
    """Adds a run whose model has files, also as a version."""
    recorded.add(run_id, version=version)
    run = load(recorded.root.path, run_id)
    model, weights = run.artifact("Trainer", "model"), run.artifact("Trainer", "model_run")
    assert model
    assert weights
    (weights.path / "network.keras").write_text(f"weights of {run_id}")
    folders = [model.path / "Format-Serving"]
    folders += [recorded.root.serving / str(version)] if version else []
    for folder in folders:
        (folder / TRAINING_RECORD).parent.mkdir(parents=True)
        (folder / TRAINING_RECORD).write_text(json.dumps({**RECORD, **record}))
        (folder / "saved_model.pb").write_text(f"graph of {run_id}")
    for artifact in recorded.store.get_artifacts_by_id([model.id, weights.id]):
        artifact.custom_properties[MANIFEST].string_value = write_manifest(Path(artifact.uri))
        recorded.store.put_artifacts([artifact])


def start(recorded: RecordedRuns, name: str, **settings: Any) -> dict[str, str]:
    return named_start(PipelineConfig(warm_start=name, **settings), recorded.root)


@pytest.mark.parametrize("name", ["none", "latest"])
def test_without_a_name_there_is_nothing_to_look_for(recorded: RecordedRuns, name: str) -> None:
    assert start(recorded, name) == {"warm_start": name}


@pytest.mark.parametrize("name", ["run:1", "version:7"])
def test_the_weights_of_a_run_or_version_are_told_by_folder_and_content(
    recorded: RecordedRuns, name: str
) -> None:
    trained(recorded, "1", version=7)
    trained(recorded, "2", version=8)
    found = start(recorded, name)
    weights = Path(found["start_from"]) / "network.keras"
    assert weights.read_text() == "weights of 1"
    assert found == {"warm_start": name, "start_from": str(weights.parent), "start_sha256": hash_of(weights)}
    # The key of the Trainer is made of its parameters.
    config = PipelineConfig(warm_start=name, channels=1)
    [trainer] = [c for c in create_pipeline(config, recorded.root).components if c.id == "Trainer"]
    assert found["start_sha256"] in str(trainer.exec_properties["custom_config"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run:5", "no run 5; the newest are: 1, 2, 3"),
        ("run:3", "run 3 has no model: it ended before one was trained"),
        ("version:9", "no version 9; there are: 7, 8"),
    ],
)
def test_what_is_not_there_is_told(recorded: RecordedRuns, name: str, said: str) -> None:
    trained(recorded, "1", version=7)
    trained(recorded, "2", version=8)
    recorded.add("3", {"ImageMaskExampleGen": 2})
    with pytest.raises(BadInput, match=f"warm_start = {name}: .*{said}.*or set warm_start=none"):
        start(recorded, name)


@pytest.mark.parametrize("name", ["run:2", "version:8"])
def test_a_withdrawn_model_is_refused(recorded: RecordedRuns, name: str) -> None:
    trained(recorded, "1", version=7)
    trained(recorded, "2", version=8)
    roll_back(recorded.root.serving)
    with pytest.raises(BadInput, match="withdrawn by a rollback"):
        start(recorded, name)
    assert start(recorded, "version:7")


@pytest.mark.parametrize(
    ("damaged", "name", "said"),
    [
        ("artifacts/Trainer/model_run/*/network.keras", "run:1", "its files are damaged .*network.keras"),
        ("artifacts/Trainer/model/*/Format-Serving/saved_model.pb", "version:7", "its files are damaged"),
        ("serving/unet/7/saved_model.pb", "version:7", "7 is damaged: it is not what run 1 made"),
    ],
)
def test_a_damaged_model_is_refused(recorded: RecordedRuns, damaged: str, name: str, said: str) -> None:
    trained(recorded, "1", version=7)
    [path] = recorded.root.path.glob(damaged)
    path.write_text(path.read_text()[::-1])
    with pytest.raises(BadInput, match=said):
        start(recorded, name)
    path.unlink()
    with pytest.raises(BadInput):
        start(recorded, name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"classes": {"background": 0, "cell": 255}}, "has classes = .*'foreground'.*this one .*'cell'"),
        ({"channels": 3}, "has channels = 1, this one channels = 3"),
        ({"base_filters": 4, "tune": "never"}, "has base_filters = 8, this one base_filters = 4"),
        ({"residual": True}, "has residual = False, this one residual = True"),
        (
            {"normalization_layer": "batch"},
            "has normalization_layer = none, this one normalization_layer = batch",
        ),
    ],
)
def test_a_network_without_place_for_the_weights_is_refused(
    recorded: RecordedRuns, settings: dict[str, Any], said: str
) -> None:
    trained(recorded, "1")
    with pytest.raises(BadInput, match=said):
        start(recorded, "run:1", **settings)


def test_what_cannot_be_opened_for_now_is_no_reason_to_name_another_model(recorded: RecordedRuns) -> None:
    trained(recorded, "1")
    with pytest.raises(OSError, match="Too many open files"), none_left():
        start(recorded, "run:1")


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_commands_refuse_it_before_they_read_anything(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--root", str(tmp_path / "root"), "--set", "warm_start=run:5"]) == 2
    assert "warm_start = run:5: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["true", "run:", "version:", "version:a", "run:latest", "5"])
def test_what_names_nothing_is_told(name: str) -> None:
    with pytest.raises(profile.ConfigError, match="must be none, latest, run:ID or version:N"):
        profile.load("default", profile.parse_overrides([f"warm_start={name}"]))


def sentence(
    recorded: RecordedRuns, then: dict[str, Any], now: dict[str, Any], status: str = "pushed"
) -> str:
    recorded.add("1", status=status, config=PipelineConfig(**then).model_dump(mode="json"))
    return of_more_steps([load(recorded.root.path, "1")], PipelineConfig(**now))


def test_more_steps_go_on_where_the_learning_rate_is_constant(recorded: RecordedRuns) -> None:
    said = sentence(recorded, {"schedule": "constant"}, {"schedule": "constant", "steps": 9000})
    assert said.startswith("The steps of run 1 are not repeated")


def test_more_steps_begin_anew_where_it_fell_and_what_to_do_instead_is_told(recorded: RecordedRuns) -> None:
    said = sentence(recorded, {}, {"steps": 9000})
    assert said.startswith('The training begins anew: with schedule = "cosine"')
    assert "1500 steps" in said
    assert said.endswith("--set warm_start=run:1.")


@pytest.mark.parametrize(
    ("then", "now", "status"),
    [
        ({}, {}, "pushed"),
        ({}, {"steps": 5}, "pushed"),
        ({}, {"steps": 9000, "batch_size": 3}, "pushed"),
        ({}, {"steps": 9000, "minutes": 5}, "pushed"),
        ({}, {"steps": 9000, "data": "/other"}, "pushed"),
        ({}, {"steps": 9000}, "failed"),
    ],
)
def test_of_another_training_nothing_is_said(
    recorded: RecordedRuns, then: dict[str, Any], now: dict[str, Any], status: str
) -> None:
    assert sentence(recorded, then, now, status) == ""
