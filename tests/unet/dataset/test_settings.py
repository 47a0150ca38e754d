from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unet.bounds import assert_bound
from unet.dataset.settings import Data, Drift, Folder, ReadSettings
from unet.masks.labels import LabelMap
from unet.settings import Section


@pytest.mark.parametrize(
    ("section", "setting", "allowed", "refused"),
    [
        (Data, "slices_per_group", 0, -1),
        (Data, "span_window", 0, -1),
        (Data, "fold", 0, -1),
        (Data, "folds", 3, 2),
        (Data, "max_pixels", 1, 0),
        (Data, "channels", 256, 257),
        (Data, "group_pattern", "^p[0-9]+", "p["),
        (Drift, "max_drift", 1.0, 1.01),
        (Drift, "max_drift", 0.001, 0.0),
    ],
)
def test_bounds(section: type[Section], setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(section, setting, allowed, refused)


def test_a_pattern_that_is_none_is_told_why() -> None:
    with pytest.raises(ValidationError, match=r"not a regular expression \(unterminated character set"):
        Data(group_pattern="p[")
    assert Data(group_pattern=None).group_pattern is None


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 0.5, "eval": 0.5},
        {"train": 1, "eval": 1, "test": 0},
        {"train": 1, "eval": 1, "test": -1},
        {"train": 1, "eval": 1, "test": 1, "more": 1},
    ],
)
def test_each_split_needs_a_share(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="a share above 0 is needed for each of train, eval and test"):
        Data(shares=shares)


def test_shares_are_parts_of_their_sum_and_stay_what_they_are() -> None:
    once = Data(shares={"test": 1, "train": 5, "eval": 1}).shares
    assert list(once.items()) == [("train", 5 / 7), ("eval", 1 / 7), ("test", 1 / 7)]
    assert Data(shares=once).shares == once


def test_home_folders_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Folder(data="~/cells").data == tmp_path / "cells"
    assert Data(serving_data="~/new").serving_data == tmp_path / "new"
    assert Data(serving_data=None).serving_data is None
    assert (Folder().data / "images").is_dir()


def test_a_domain_has_a_lower_and_a_higher_bound() -> None:
    assert Drift(domains={"mean": (5, 5)}).domains == {"mean": (5, 5)}
    with pytest.raises(ValidationError, match="domains: mean must have a lower and a higher bound"):
        Drift(domains={"height": (1, 2), "mean": (5.1, 5)})


def test_the_legend_is_made_of_what_the_settings_say() -> None:
    settings = ReadSettings(
        classes={"a": 0, "b": 1}, ignore=2, mask_values="nearest", sigma=0, columns=[], splits_file=""
    )
    assert settings.label_map == LabelMap({"a": 0, "b": 1}, 2, "nearest")
