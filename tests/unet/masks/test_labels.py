from __future__ import annotations

from typing import Any

import pytest

from unet.masks.labels import IGNORE, LabelMap, is_color, served_values


@pytest.mark.parametrize(
    ("classes", "values"),
    [
        ({"background": 0, "foreground": 255}, [0, 255]),
        ({"a": 0, "b": "instances"}, [0, 255]),
        ({"a": 255, "b": "instances"}, [255, 254]),
        ({"a": 0, "b": "instances", "c": 255, "d": 254}, [0, 253, 255, 254]),
        ({"a": 1000, "b": "instances"}, [1000, 255]),
        ({"a": "#000000", "b": "#ff0080"}, [[0, 0, 0], [255, 0, 128]]),
    ],
)
def test_values_that_are_served(classes: dict[str, Any], values: list[Any]) -> None:
    assert served_values(classes) == values


def test_a_mask_of_every_value_has_one_left_for_objects() -> None:
    taken = {str(value): value for value in range(1, 256)}
    assert served_values({"object": "instances", **taken})[0] == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("#00ff80", True),
        ("#00FF80", True),
        ("#00ff8", False),
        ("#00ff800", False),
        ("#00ff8g", False),
        ("00ff80", False),
        ("instances", False),
        (128, False),
    ],
)
def test_what_is_a_color(value: object, expected: bool) -> None:
    assert is_color(value) == expected


def test_classes_are_colors_or_numbers() -> None:
    assert LabelMap({"a": "#000000", "b": "#ffffff"}).in_color
    assert not LabelMap({"a": 0, "b": "instances"}).in_color


def test_what_is_ignored_fits_into_8_bits_beside_255_classes() -> None:
    assert IGNORE == 255
