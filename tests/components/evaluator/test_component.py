"""The blessing as others read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation

from components.evaluator import component
from components.evaluator.component import _bless
from components.resolvers import mlmd
from unet.errors import ImagesLost
from unet.evaluation.settings import GateSettings


def model(number: int) -> Model:
    made = Model()
    made.id, made.uri = number, f"/models/{number}"
    return made


def bless(folder: Path, blessed: bool, state: str = "compared", compared: Model | None = None) -> Any:
    blessing = ModelBlessing()
    blessing.uri = str(folder / "blessing")
    verdict: Any = {"blessed": blessed, "baseline": {"state": state}}
    _bless(blessing, verdict, model(7), compared)
    return blessing


@pytest.mark.parametrize(("blessed", "file"), [(True, "BLESSED"), (False, "NOT_BLESSED")])
def test_a_blessing_names_its_model_and_has_one_file(blessed: bool, file: str, tmp_path: Path):
    blessing = bless(tmp_path, blessed)
    assert blessing.get_int_custom_property("blessed") == int(blessed)
    assert blessing.get_int_custom_property("current_model_id") == 7
    assert blessing.get_string_custom_property("current_model") == "/models/7"
    assert [path.name for path in (tmp_path / "blessing").iterdir()] == [file]


def test_the_model_it_was_compared_with_is_named_where_there_was_one(tmp_path: Path):
    alone, beside = bless(tmp_path, True), bless(tmp_path, True, compared=model(5))
    assert not alone.has_custom_property("baseline_model_id")
    assert beside.get_int_custom_property("baseline_model_id") == 5
    assert beside.get_string_custom_property("baseline_model") == "/models/5"


@pytest.mark.parametrize(
    ("state", "accepted"), [("rebaselined", "rebaseline"), ("compared", ""), ("none", "")]
)
def test_a_model_that_was_not_to_be_compared_is_marked(state: str, accepted: str, tmp_path: Path):
    blessing = bless(tmp_path, True, state)
    assert blessing.get_string_custom_property(mlmd.ACCEPTED) == accepted


def test_a_model_that_was_measured_on_fewer_images_has_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tfx_evaluator.Executor, "Do", lambda self, *given: None)
    monkeypatch.setattr(component, "_measured", lambda folder, compared: [None] * 11)
    examples, evaluation = Examples(), ModelEvaluation()
    examples.set_int_custom_property("test_count", 12)
    evaluation.uri = str(tmp_path)
    with pytest.raises(ImagesLost, match="11 of 12 images arrived at the Evaluator"):
        component.Executor().Do(
            {"examples": [examples], "model": [model(7)]},
            {"evaluation": [evaluation], "blessing": [ModelBlessing()]},
            {"settings": GateSettings(class_names=["a", "b"]).model_dump_json(), "rebaseline": 0},
        )
    assert not list(tmp_path.iterdir())
