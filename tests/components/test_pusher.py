"""A model is pushed if both gates blessed it, and the artifact says what happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types.standard_artifacts import (
    Examples,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    PushedModel,
)

from components.pusher import Pusher
from tests.pipeline.recorded_runs import verdict
from unet.evaluation.results import write_verdict
from unet.registry.versions import newest_version, roll_back, versions


def push(tmp_path: Path, weights: str = "a", model: int = 1, infra: int = 1) -> Any:
    """What the component says of a model, with these blessings."""
    candidate, examples, evaluation, pushed = Model(), Examples(), ModelEvaluation(), PushedModel()
    candidate.uri = str(tmp_path / "model" / weights)
    saved = Path(candidate.uri, "Format-Serving", "saved_model.pb")
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text(weights)
    evaluation.uri = str(tmp_path / "evaluation")
    Path(evaluation.uri).mkdir(exist_ok=True)
    write_verdict(evaluation.uri, verdict(0.8))
    examples.set_string_custom_property("fingerprint", "5eed")
    for split, count in {"train": 6, "eval": 2, "test": 3}.items():
        examples.set_int_custom_property(f"{split}_count", count)
    blessings = ModelBlessing(), InfraBlessing()
    for blessing, blessed in zip(blessings, (model, infra), strict=True):
        blessing.set_int_custom_property("blessed", blessed)
    facts = {"data_licence": "CC0", "code": "c0de", "configuration": "c0f"}
    Pusher.EXECUTOR_SPEC.executor_class._FUNCTION(
        model=candidate,
        model_blessing=blessings[0],
        infra_blessing=blessings[1],
        evaluation=evaluation,
        examples=examples,
        pushed_model=pushed,
        folder=str(tmp_path / "serving"),
        facts=json.dumps(facts),
        run="20261128-020000",
    )
    return pushed


@pytest.mark.parametrize(("model", "infra"), [(0, 1), (1, 0), (0, 0)])
def test_without_both_blessings_nothing_is_pushed(tmp_path: Path, model: int, infra: int):
    pushed = push(tmp_path, model=model, infra=infra)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not pushed.has_custom_property("pushed_destination")
    assert not (tmp_path / "serving").exists()


def test_a_blessed_model_is_pushed_with_its_card(tmp_path: Path):
    pushed = push(tmp_path)
    [version] = versions(tmp_path / "serving")
    folder = tmp_path / "serving" / str(version)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(folder)
    assert (folder / "saved_model.pb").read_text() == "a"
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert (card["data_sha256"], card["run"]) == ("5eed", "20261128-020000")
    assert card["images"] == {"train": 6, "eval": 2, "test": 3}
    assert (card["version"], card["data_licence"], card["code"]) == (version, "CC0", "c0de")
    assert card["metrics_on_test_split"]["foreground_iou"] == 0.8


def test_the_newest_model_is_not_pushed_again_but_is_in_service(tmp_path: Path):
    push(tmp_path)
    again = push(tmp_path)
    [version] = versions(tmp_path / "serving")
    assert again.get_int_custom_property("pushed") == 0
    assert not again.has_custom_property("withdrawn")
    assert again.get_string_custom_property("pushed_destination") == str(tmp_path / "serving" / str(version))


def test_a_model_that_a_rollback_took_out_stays_out(tmp_path: Path):
    push(tmp_path, "a")
    push(tmp_path, "b")
    roll_back(tmp_path / "serving")
    before = newest_version(tmp_path / "serving")
    pushed = push(tmp_path, "b")
    assert pushed.get_int_custom_property("withdrawn") == 1
    assert pushed.get_int_custom_property("pushed") == 0
    assert not pushed.has_custom_property("pushed_destination")
    assert newest_version(tmp_path / "serving") == before
