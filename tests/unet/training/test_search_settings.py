from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unet.bounds import assert_bound
from unet.training.search_settings import TuneSettings


@pytest.mark.parametrize(
    ("setting", "allowed", "refused"),
    [
        ("tune_trials", 1, 0),
        ("tune_steps", 1, 0),
        ("tune_minutes", 0.1, 0.0),
        ("tune_over", {"base_filters": [1, 2]}, {"base_filters": [0, 2]}),
        ("tune_over", {"base_filters": [8, 16, 32]}, {"base_filters": [8]}),
        ("tune_over", {"dropout": [0.0, 0.9]}, {"dropout": [0.0, 1.0]}),
        ("tune_over", {"dropout": [0.1, 0.2, 0.3]}, {"dropout": [0.1, 0.2, 0.1]}),
        ("tune_over", {"loss": ["dice", "dice+focal"]}, {"loss": ["dice", "dice+hinge"]}),
        (
            "tune_over",
            {"loss": ["dice", "focal"], "dropout": [0, 0.5]},
            {"loss": ["dice"], "dropout": [0, 0.5]},
        ),
        ("tune_search", "bayesian", "grid"),
    ],
)
def test_bounds(setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(TuneSettings, setting, allowed, refused)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"tune_over": {"dropuot": [0, 1]}},
            "'dropuot' cannot be searched, only base_filters, dropout, loss",
        ),
        ({"tune_over": {"dropout": [0, 0]}}, "two different values or more are needed, each of them once"),
        (
            {"tune_range": (1e-3, 1e-3)},
            "tune_range = [0.001, 0.001] must be a lower and a higher learning rate",
        ),
        ({"tune_range": (0, 1e-3)}, "tune_range.0"),
        ({"tune": "never", "tune_over": {"dropout": [0, 0.5]}}, 'tune = "never" searches nothing: leave out'),
        ({"tune_search": "hyperband", "tune_trials": 3}, "the least that hyperband can do costs 4 trials"),
    ],
)
def test_a_search_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TuneSettings(**settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"tune_range": (1e-9, 1e-8)},
        {"tune": "never"},
        {"tune": "always", "tune_over": {"dropout": [0, 0.5]}},
        {"tune_search": "hyperband", "tune_trials": 4},
        {"tune_search": "random", "tune_trials": 3},
    ],
)
def test_a_search_that_can_be(settings: dict[str, Any]) -> None:
    found = TuneSettings(**settings)
    assert {name: getattr(found, name) for name in settings} == settings
