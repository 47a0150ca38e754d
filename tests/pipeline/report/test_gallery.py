"""Test images to look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pipeline.report.conftest import Made, damaged
from tests.pipeline.report.pages import page


@pytest.mark.parametrize(
    "file", ["0-image.jpg", "0-ground_truth.png", "0-predicted.png", "0-probability.png"]
)
def test_a_damaged_picture_spares_the_others(make: Callable[..., Made], file: str):
    made = make()
    damaged(made.folder("Evaluator", "evaluation") / "pictures" / file)
    found = page(made)
    assert "cannot be read" in found.text["images"]
    assert "Best" in found.text["images"]
