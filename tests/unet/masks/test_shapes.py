from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet.masks.shapes import are_objects, is_thin, measure, measure_file


def discs(count: int, radius: int = 10) -> np.ndarray:
    """Discs with the numbers 1 to `count` in rows of five."""
    pixels = np.zeros((40 * (count // 5 + 1), 200), np.uint16)
    for number in range(count):
        rows, columns = np.mgrid[: pixels.shape[0], :200]
        at = np.hypot(rows - 40 * (number // 5) - 20, columns - 40 * (number % 5) - 20)
        pixels[at < radius] = number + 1
    return pixels


def outlined(width: int) -> np.ndarray:
    pixels = np.minimum(discs(5, 15), 1)
    inner = np.minimum(discs(5, 15 - width), 1)
    pixels[(pixels > 0) & (inner == 0)] = 255
    return pixels


@pytest.mark.parametrize(("width", "thin"), [(1, True), (3, True), (5, True), (12, False)])
def test_outlines_are_thin(width: int, thin: bool) -> None:
    shapes = [measure(outlined(width))]
    assert is_thin(255, shapes) == thin
    assert not is_thin(0, shapes)
    assert not is_thin(7, shapes)  # which is nowhere


@pytest.mark.parametrize(
    ("masks", "objects"),
    [
        ([discs(6), discs(16)], True),
        ([discs(25)], True),
        ([discs(6), discs(6)], False),  # the same numbers: classes
        ([discs(2), discs(3)], False),  # too few to tell
        ([discs(6) % 4, discs(16) % 5], False),  # several pieces each
        ([discs(6) + 1, discs(16) + 1], False),  # no background
        ([np.zeros((9, 9), int)], False),
        ([], False),
    ],
    ids=["cells", "many", "same", "few", "pieces", "no background", "empty", "none"],
)
def test_many_compact_numbers_that_vary_are_objects(masks: list[np.ndarray], objects: bool) -> None:
    assert are_objects([measure(mask) for mask in masks]) == objects


def test_a_file_is_measured_by_the_values_it_stores(tmp_path: Path) -> None:
    Image.fromarray(discs(3).astype(np.uint8)).save(tmp_path / "a.png")
    shapes = measure_file(tmp_path / "a.png", 0, 10**6)
    assert shapes.keys() == {0, 1, 2, 3}
    assert shapes[2].largest == 1.0
    assert shapes[2].fill == pytest.approx(np.pi / 4, abs=0.1)


def test_photographs_are_not_measured() -> None:
    assert measure(np.arange(900).reshape(30, 30)) == {}
