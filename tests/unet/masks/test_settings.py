from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from unet.masks.settings import Values


@pytest.mark.parametrize(
    ("written", "classes"),
    [
        ({"a": 0, "b": 65535}, {"a": 0, "b": 65535}),
        ({"a": "0", "b": "12"}, {"a": 0, "b": 12}),
        ({"a": "#00FF80", "b": "#000000"}, {"a": "#00ff80", "b": "#000000"}),
        ({"a": 0, "b": "instances"}, {"a": 0, "b": "instances"}),
        ({str(i): i for i in range(255)}, {str(i): i for i in range(255)}),
        ({"a.b": 0, "b ": 1}, {"a.b": 0, "b ": 1}),
    ],
)
def test_values_of_classes(written: dict[str, Any], classes: dict[str, Any]) -> None:
    assert Values(classes=written).classes == classes


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"a": 0}, "at least two classes are needed"),
        ({"a": 0, "b": "0"}, "two classes have the same value"),
        ({"a": "#00ff80", "b": "#00FF80"}, "two classes have the same value"),
        ({str(i): i for i in range(256)}, "at most 255 classes are possible: masks are stored with 8 bits"),
        ({"a": 0, "b": "#000000"}, "or all be colours"),
        ({"a": "#000000", "b": "instances"}, "or all be colours"),
        ({"": 0, "b": 1}, "must not hold '/' or start with '.'"),
        ({"a/b": 0, "b": 1}, "must not hold '/' or start with '.'"),
        ({".a": 0, "b": 1}, "must not hold '/' or start with '.'"),
        ({"a": 0, "b": -1}, "values must lie between 0 and 65535"),
        ({"a": 0, "b": 65536}, "values must lie between 0 and 65535"),
        ({"a": 0, "b": "red"}, '\'red\' is neither a number, nor a colour "#rrggbb", nor "instances"'),
    ],
)
def test_classes_that_cannot_be_told_apart_or_stored(classes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Values(classes=classes)
    assert said in str(caught.value)


COLORS = {"a": "#000000", "b": "#ff0000"}


@pytest.mark.parametrize(
    ("ignore", "classes", "kept"),
    [
        (7, {"a": 0, "b": 1}, 7),
        ("7", {"a": 0, "b": 1}, 7),
        ("#FFFFFF", COLORS, "#ffffff"),
        (None, COLORS, None),
    ],
)
def test_what_is_ignored(ignore: Any, classes: dict[str, Any], kept: Any) -> None:
    assert Values(ignore=ignore, classes=classes).ignore == kept


@pytest.mark.parametrize(
    ("ignore", "classes", "said"),
    [
        ("instances", {"a": 0, "b": 1}, 'must be a number or a colour "#rrggbb"'),
        (1, {"a": 0, "b": 1}, "ignore = 1 is the value of a class"),
        ("#ff0000", COLORS, "ignore = '#ff0000' is the value of a class"),
        ("#ffffff", {"a": 0, "b": 1}, "must all be numbers, or all be colours"),
        (7, COLORS, "must all be numbers, or all be colours"),
        (65536, {"a": 0, "b": 1}, "values must lie between 0 and 65535"),
    ],
)
def test_what_cannot_be_ignored(ignore: Any, classes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Values(ignore=ignore, classes=classes)
    assert said in str(caught.value)


def test_a_range_is_a_lower_and_a_higher_value() -> None:
    assert Values(value_range=(-1, 1)).value_range == (-1, 1)
    for low, high in ((1, 1), (2, 1)):
        with pytest.raises(ValidationError, match="must be a lower and a higher value"):
            Values(value_range=(low, high))


def test_masks_of_black_and_white_need_no_settings() -> None:
    assert Values().classes == {"background": 0, "foreground": 255}
    assert Values().ignore is None
