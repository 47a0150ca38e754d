"""Slices of images, and names of slices in thresholds."""

import math

import pytest

from unet.evaluation.slices import slices_of, why_unknown


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ((512, 512, 8, 0.0), ["size=small", "bit_depth=8", "foreground=none"]),
        ((512, 513, 16, 0.05), ["size=medium", "bit_depth=16", "foreground=low"]),
        ((1040, 1388, 8, 0.06), ["size=large", "bit_depth=8", "foreground=medium"]),
        ((10, 10, 8, 1.0), ["size=small", "bit_depth=8", "foreground=high"]),
        ((10, 10, 8, math.nan), ["size=small", "bit_depth=8"]),
    ],
)
def test_slices_of_an_image(image, expected):
    height, width, bit_depth, foreground = image
    assert slices_of(height, width, bit_depth, foreground, {}) == expected


def test_columns_make_slices():
    found = slices_of(9, 9, 8, 0.1, {"microscope": "A 1", "stain": ""})
    assert found[-2:] == ["microscope=A 1", "stain=(none)"]


@pytest.mark.parametrize(
    ("name", "columns", "known"),
    [
        ("size=tiny", [], "size=small, size=medium, size=large"),
        ("site=a", [], "size=..., bit_depth=..., foreground=..."),
        ("size", [], "size=..., bit_depth=..., foreground=..."),
        ("size=small", [], ""),
        ("bit_depth=16", [], ""),
        ("site=a", ["site"], ""),
    ],
)
def test_what_cannot_be_a_slice_is_told(name, columns, known):
    found = why_unknown(name, columns)
    assert known in found
    assert bool(found) == bool(known)
