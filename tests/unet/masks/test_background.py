"""The class that counts for nothing is the first one, and in doubt the user is asked."""

from __future__ import annotations

import shlex

import pytest

from pipeline.config.profile import parse_overrides
from unet.masks.background import (
    background_first,
    first_foreground,
    foreground,
    is_background,
    is_void,
    question,
)


@pytest.mark.parametrize(
    "name",
    ["background", "Background", "BG", "back-ground", "_background_", "background_0", "Hintergrund", "背景"],
)
def test_names_of_the_background(name: str) -> None:
    assert is_background(name)


@pytest.mark.parametrize("name", ["foreground", "backbone", "sky", "other", "0", "background noise"])
def test_names_of_other_classes(name: str) -> None:
    assert not is_background(name)
    assert not is_void(name)


@pytest.mark.parametrize("name", ["void", "Void", "__ignore__", "unlabeled", "unlabelled", "don't care"])
def test_names_of_pixels_of_no_class(name: str) -> None:
    assert is_void(name)


@pytest.mark.parametrize(
    "classes",
    [
        {"background": 0, "cell": 255},
        {"BG": 7, "road": 0, "sky": 1},
        {"membrane": 0, "cell": 255},  # two classes: the first is what lies between
        {"background": 0, "Hintergrund": 1},
    ],
)
def test_clear_classes(classes: dict[str, int]) -> None:
    assert question(classes) is None


def test_a_background_that_is_not_first_gets_the_line_that_puts_it_first() -> None:
    for classes in (
        {"nucleus": 255, "background": 0},
        {"my 'car'": "#ff0000", "road": "#00ff00", "Background": "#000000"},
    ):
        asked = "; ".join(question(classes) or ())
        assert repr(next(iter(classes))) in asked
        [line] = shlex.split(asked.partition("--set ")[2])
        proposed = parse_overrides([line])["classes"]
        assert proposed == classes
        assert list(proposed) == list(background_first(classes))
        assert question(proposed) is None


def test_classes_without_a_background_are_asked_about() -> None:
    asked = "; ".join(question({"road": 0, "sky": 1, "car": 2}) or ())
    assert "--set background=none" in asked
    assert "--set background=first" in asked


def test_what_counts() -> None:
    assert [first_foreground(b) for b in ("auto", "first", "none")] == [1, 1, 0]
    assert foreground(["a", "b"], "auto") == ["b"]
    assert foreground(["a", "b"], "none") == ["a", "b"]
