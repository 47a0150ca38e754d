"""How the model came to be: curves, search and samples, from what a run left."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.settings import PipelineConfig
from pipeline.history.outcome import SERVED
from pipeline.report import training
from pipeline.report.artifacts import Missing, NotReached, RunArtifacts
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page
from unet.registry.records import TRAINING_RECORD
from unet.training.files import CURVES, SAMPLES, SAMPLES_INDEX, TRIALS
from unet.training.settings import STILL


def artifacts(made: Made) -> RunArtifacts:
    return RunArtifacts(made.root, made.run)


def test_the_kept_weights_are_those_of_the_best_validation(make: Callable[..., Made]):
    made = make()
    (made.folder("Trainer", "model_run") / CURVES).write_text(
        "loss,val_foreground_iou,steps\n0.5,nan,1000\n0.4,0.7,500\n0.3,0.9,500\n0.2,0.8,500\n"
    )
    found = training.curves(artifacts(made))
    assert found["best"] == (
        "The weights of step 2,000 were kept: their Foreground IoU on the eval images, 0.900, is the best of "
        "4 validations."
    )
    assert [row[0] for row in found["rows"]] == ["1,000", "1,500", "2,000", "2,500"]
    assert [title for title, _ in found["charts"]] == [title for _, title in training.CURVES[:2]]


def test_the_metric_that_chose_the_weights_has_a_chart(make: Callable[..., Made]):
    made = make()
    made.run.record.config["select_by"] = "pixel_error"
    (made.folder("Trainer", "model_run") / CURVES).write_text(
        "loss,val_foreground_iou,val_pixel_error,steps\n0.5,0.9,0.2,100\n0.4,0.8,0.1,100\n"
    )
    found = training.curves(artifacts(made))
    assert "The weights of step 200 were kept: their Pixel error on the eval images, 0.100," in found["best"]
    assert "Validation Pixel error" in [title for title, _ in found["charts"]]


def test_every_class_has_a_chart(make: Callable[..., Made]):
    names = [f"class {i}" for i in range(12)]
    made = make(classes=["background", *names])
    columns = ",".join(f"val_iou_{name}" for name in names)
    values = ",".join(f"{i / 100}" for i in range(12))
    (made.folder("Trainer", "model_run") / CURVES).write_text(f"loss,{columns},steps\n0.5,{values},10\n")
    found = training.curves(artifacts(made))
    assert [title for title, _ in found["charts"][1:]] == [f"Validation IoU, {name}" for name in names]
    assert len(found["names"]) == 13


def test_curves_without_a_number_are_told(make: Callable[..., Made]):
    made = make()
    (made.folder("Trainer", "model_run") / CURVES).write_text("loss,steps\nnan,10\n")
    with pytest.raises(Missing, match="hold no number"):
        training.curves(artifacts(made))


@pytest.mark.parametrize(("epochs", "rows"), [(199, 199), (200, 100), (300, 100)])
def test_a_long_table_is_thinned(make: Callable[..., Made], epochs: int, rows: int):
    made = make()
    lines = "0.5,10\n" * epochs
    (made.folder("Trainer", "model_run") / CURVES).write_text(f"loss,steps\n{lines}")
    assert len(training.curves(artifacts(made))["rows"]) == rows


@pytest.mark.parametrize(
    ("columns", "steps"),
    [
        ({"steps": [10.0, None, 5.0]}, [10, 10, 15]),
        ({"loss": [0.5, 0.4]}, [1, 2]),
        ({"steps": [], "loss": []}, []),
    ],
)
def test_steps_add_up_and_are_epochs_where_they_are_not_told(columns: training.Columns, steps: list[float]):
    assert training.steps_of(columns) == steps


@pytest.mark.parametrize(
    ("values", "expected"), [([None, 1.0], True), ([None, math.nan], False), ([], False)]
)
def test_a_column_of_no_number_is_not_drawn(values: list[float | None], expected: bool):
    assert training.has_numbers({"loss": values}, "loss") == expected
    assert not training.has_numbers({"loss": values}, "other")


def test_each_trial_is_a_row(make: Callable[..., Made]):
    found = training.search(artifacts(make()))
    assert found["reason"] == "learning rate 2.0e-03"
    assert found["rows"] == [
        (1, "learning_rate 0.002", "60", "completed", "0.800", ""),
        (2, "learning_rate 0.005", "60", "diverged", "–", "the loss is nan at step 3"),
    ]
    assert "trial 2: learning_rate 0.005; 60 steps, diverged, no score" in found["plot"]


def test_a_choice_whose_trials_are_gone_is_shown_all_the_same(make: Callable[..., Made]):
    made = make()
    (made.folder("Tuner", "tuner_results") / TRIALS).unlink()
    found = training.search(artifacts(made))
    assert found["reason"] == "learning rate 2.0e-03"
    assert found["note"].startswith("There is no table of the trials: ")


@pytest.mark.parametrize(
    ("tune", "kind", "sentence"),
    [
        (
            "never",
            Missing,
            'Nothing was searched (tune = "never"): the learning rate is 3, as configured.',
        ),
        ("always", NotReached, "The run has no search."),
    ],
)
def test_a_run_without_a_search(make: Callable[..., Made], tune: str, kind: type, sentence: str):
    made = make()
    made.run.nodes = [node for node in made.run.nodes if node.name != "Tuner"]
    made.run.record.config |= {"tune": tune, "learning_rate": 3}
    with pytest.raises(Missing) as missing:
        training.search(artifacts(made))
    assert (type(missing.value), str(missing.value)) == (kind, sentence)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_sample_has_its_weights_where_there_are_any(make: Callable[..., Made], weighted: bool):
    made = make()
    index = made.folder("Trainer", "model_run") / SAMPLES / SAMPLES_INDEX
    [row] = json.loads(index.read_text())
    index.write_text(json.dumps([row | ({} if weighted else {"weight": None})]))
    found = training.samples(artifacts(made))
    assert found["weighted"] == weighted
    [sample] = found["samples"]
    titles = ["Patch, as stored", "Target, as stored", "Patch, as trained on", "Target, as trained on"]
    assert [panel.label for panel in sample["panels"]] == titles + ["Weight, 0 to 11.0"] * weighted


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({}, ['flip = "both"', "quarter_turns = true", "brightness_contrast = 0.1"]),
        (dict(STILL), []),
        (
            {**STILL, "flip": "horizontal", "spatial_augment_prob": 0.2, "rotation": 15.0, "noise": 0.3},
            [
                'flip = "horizontal"',
                "spatial_augment_prob = 0.2",
                "noise = 0.3",
                "rotation = 15.0",
                "elastic_sigma = 10.0",
            ],
        ),
    ],
)
def test_the_augmentation_in_effect_is_told(
    make: Callable[..., Made], config: dict[str, Any], shown: list[str]
):
    made = artifacts(make())
    made.run.config.update(PipelineConfig().model_dump(mode="json") | config)
    assert training.samples(made)["augmentation"] == shown


def test_no_samples_are_told(make: Callable[..., Made]):
    made = make()
    (made.folder("Trainer", "model_run") / SAMPLES / SAMPLES_INDEX).write_text("[]")
    with pytest.raises(Missing, match="holds no samples"):
        training.samples(artifacts(made))


POINT: dict[str, Any] = {
    "aim": "precision>=0.9",
    "threshold": 0.75,
    "why_not": "",
    "argmax": {"precision": 0.8, "recall": 0.9, "dice": 0.847},
    "chosen": {"precision": None, "recall": 0.7, "dice": 0.79},
}


def with_record(made: Made, **record: Any) -> Made:
    path = made.folder("Trainer", "model") / SERVED / TRAINING_RECORD
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return made


def test_how_the_model_decides_is_told_with_what_it_changed(make: Callable[..., Made]):
    made = with_record(make(), operating_point=POINT)
    found = training.curves(artifacts(made))["point"]
    assert found["rows"] == [
        ("The likelier class", ["0.5", "0.800", "0.900", "0.847"]),
        ("Chosen for precision>=0.9", ["0.75", "–", "0.700", "0.790"]),
    ]
    text = page(made).text["curves"]
    assert "Chosen for precision>=0.9" in text
    assert "the test images were not looked at" in text
    assert "all pixels together" in text


@pytest.mark.parametrize(
    ("step", "background", "pixels", "mean"),
    [(1, "first", "all pixels together", "Mean without background"), (5, "none", "one pixel in 5", "Mean")],
)
def test_factors_are_told_with_the_dice_of_each_class(
    make: Callable[..., Made], step: int, background: str, pixels: str, mean: str
):
    point = {
        "aim": "dice", "factors": [1.0, 2**0.5, 1.0], "step": step, "why_not": "",
        "argmax": {"mean_dice": 0.5, "dice": [0.95, 0.5, None]},
        "chosen": {"mean_dice": 0.625, "dice": [0.9, 0.625, None]},
    }  # fmt: skip
    made = with_record(make(classes=["background", "cell", "wall"]), operating_point=point)
    made.run.config["background"] = background
    found = training.curves(artifacts(made))["point"]
    assert found["rows"] == [
        ("background", ["1", "0.950", "0.900"]),
        ("cell", ["1.414", "0.500", "0.625"]),
        ("wall", ["1", "–", "–"]),
        (mean, ["", "0.500", "0.625"]),
    ]
    text = page(made).text["curves"]
    assert "Dice of the likeliest class" in text
    assert pixels in text


def test_an_aim_out_of_reach_is_told(make: Callable[..., Made]):
    point = POINT | {"threshold": 0.5, "why_not": "no threshold reaches it"}
    found = training.curves(artifacts(with_record(make(), operating_point=point)))["point"]
    assert found["about"] == "Nothing could be chosen: no threshold reaches it. The likeliest class decides."


def test_the_most_likely_class_needs_no_words(make: Callable[..., Made]):
    assert training.curves(artifacts(with_record(make(), steps=60)))["point"] is None
