from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unet.bounds import assert_bound
from unet.settings import Section
from unet.training.settings import (
    STILL,
    TERMS,
    Augmentation,
    Training,
    TrainSettings,
    recipe,
    sum_of_terms,
    with_choice,
)


@pytest.mark.parametrize(
    ("section", "setting", "allowed", "refused"),
    [
        (Training, "steps", 1, 0),
        (Training, "minutes", 0.1, 0),
        (Training, "batch_size", 1, 0),
        (Training, "validate_every", 1, 0),
        (Training, "patience", 0, -1),
        (Training, "border_weight", 0.0, -0.1),
        (Training, "border_sigma", 0.1, 0.0),
        (Training, "border_sigma", 1000.0, 1001.0),
        (Training, "momentum", 0.0, -0.1),
        (Training, "momentum", 0.99, 1.0),
        (Training, "weight_decay", 0.0, -0.1),
        (Training, "clip", 0.0, -0.1),
        (Training, "learning_rate", 1e-9, 0.0),
        (Training, "loss", {"dice": 0.5, "focal": 0.0}, {"dice": 0.5, "hinge": 1.0}),
        (Training, "class_weights", {"cell": 0.0}, {"cell": -0.1}),
        (Training, "class_weights", {"cell": 2}, {"cell": True}),
        (Training, "class_weights", {"a": 1.5, "b": 1}, {"a": 1.5, "b": "1"}),
        (Training, "class_weights", "balanced", "balancd"),
        (Training, "class_weights", "none", None),
        (Augmentation, "spatial_augment_prob", 0.0, -0.1),
        (Augmentation, "spatial_augment_prob", 1.0, 1.1),
        (Augmentation, "rotation", 0.0, -0.1),
        (Augmentation, "rotation", 180.0, 181.0),
        (Augmentation, "zoom", 0.0, -0.1),
        (Augmentation, "zoom", 1.0, 1.1),
        (Augmentation, "elastic_sigma", 0.0, -0.1),
        (Augmentation, "elastic_sigma", 1000.0, 1001.0),
        (Augmentation, "brightness_contrast", 0.0, -0.1),
        (Augmentation, "brightness_contrast", 0.99, 1.0),
        (Augmentation, "flip", "none", True),
        (Augmentation, "flip", "both", "sideways"),
        (Augmentation, "gamma", 0.0, -0.1),
        (Augmentation, "gamma", 4.0, 4.1),
        (Augmentation, "color_jitter", 0.0, -0.1),
        (Augmentation, "color_jitter", 1.0, 1.1),
        (Augmentation, "blur", 0.0, -0.1),
        (Augmentation, "blur", 10.0, 10.1),
        (Augmentation, "noise", 0.0, -0.1),
        (Augmentation, "noise", 2.0, 2.1),
        (Augmentation, "oversample_rare", 0.0, -0.1),
        (Augmentation, "oversample_rare", 1.0, 1.1),
    ],
)
def test_bounds(section: type[Section], setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(section, setting, allowed, refused)


@pytest.mark.parametrize("flip", ["horizontal", "vertical"])
def test_one_flip_goes_without_quarter_turns_which_would_make_it_both(flip: str) -> None:
    with pytest.raises(ValidationError, match='set quarter_turns = false, or flip = "both"'):
        Augmentation(flip=flip)
    assert Augmentation(flip=flip, quarter_turns=False).flip == flip


def test_still_turns_everything_off_that_changes_a_patch() -> None:
    places = {"oversample_rare"}  # where a patch lies, not how it looks
    of_deformation = {"rotation", "zoom", "elastic_sigma"}  # in effect by spatial_augment_prob alone
    assert set(STILL) == set(Augmentation.model_fields) - places - of_deformation
    assert not any(
        value for value in Augmentation(**STILL).model_dump(include=set(STILL) - {"flip"}).values()
    )
    assert STILL["flip"] == "none"


@pytest.mark.parametrize("loss", [{}, {"dice": 0.0}, {"dice": 1.0, "focal": -0.1}])
def test_a_loss_weighs_something(loss: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="no weight may be below 0, and one must be above"):
        Training(loss=loss)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "dise",
            "unknown term 'dise': a loss is one of cross_entropy, dice, focal, tversky, or a sum: a\\+b",
        ),
        ("dice+", "unknown term ''"),
        ("dice+focal+dice", "a term is there twice"),
    ],
)
def test_a_sum_is_of_known_terms(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sum_of_terms(written)
    with pytest.raises(ValidationError, match=said):
        Training(loss=written)


def test_the_terms_of_a_sum_weigh_1_each() -> None:
    assert sum_of_terms("+".join(TERMS)) == "cross_entropy+dice+focal+tversky"
    assert Training(loss="focal+dice").loss == {"focal": 1.0, "dice": 1.0}


def test_the_choice_is_what_is_trained_with_and_no_part_of_its_own_recipe() -> None:
    configured = TrainSettings(base_filters=2, loss="dice")
    tune_over = {"base_filters": [2, 4], "loss": ["dice", "cross_entropy+dice"]}
    choice = {"learning_rate": 3e-3, "base_filters": 4, "loss": "cross_entropy+dice"}
    trained = with_choice(configured, choice)
    assert (trained.learning_rate, trained.base_filters) == (3e-3, 4)
    assert trained.loss == {"cross_entropy": 1.0, "dice": 1.0}
    assert recipe(trained, tune_over) == recipe(configured, tune_over)
    assert recipe(configured, {}) != recipe(configured, tune_over)
    assert recipe(trained, {}) != recipe(configured, {})


def test_a_choice_leaves_what_it_does_not_name() -> None:
    configured = TrainSettings(loss={"dice": 0.5, "focal": 2.0}, dropout=0.3)
    assert with_choice(configured, {"learning_rate": 1.0}) == TrainSettings(
        loss={"dice": 0.5, "focal": 2.0}, dropout=0.3, learning_rate=1.0
    )


@pytest.mark.parametrize(
    ("change", "another"),
    [
        (
            {"steps": 7, "minutes": 1, "validate_every": 3, "patience": 2, "seed": 9, "deterministic": True},
            False,
        ),
        ({"learning_rate": 0.5, "classes": {"a": 0, "b": 7}, "value_range": (0, 1)}, False),
        ({"batch_size": 3}, True),
        ({"clip": 1}, True),
        ({"ignore": 7}, True),
        ({"zoom": 0.1}, True),
    ],
)
def test_a_recipe_is_what_a_rate_was_found_for(change: dict[str, Any], another: bool) -> None:
    assert (recipe(TrainSettings(**change), {}) != recipe(TrainSettings(), {})) == another
