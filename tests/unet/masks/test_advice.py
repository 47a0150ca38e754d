from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from unet.masks.advice import advise_on_all
from unet.masks.labels import LabelMap
from unet.masks.reader import read_mask_stats
from unet.masks.values import MaskStats

BINARY = LabelMap({"background": 0, "foreground": 255})
OBJECTS = "--set 'classes={background=0, object=\"instances\"}'"
NEAREST = "mask_values=nearest"


def mask_stats(pixels: np.ndarray) -> MaskStats:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return read_mask_stats(out.getvalue())


def disc(radius: int, value: int, blur: float = 0) -> np.ndarray:
    pixels = ((np.hypot(*(np.mgrid[:128, :128] - 64)) < radius) * value).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(blur)))


def numbered(count: int) -> np.ndarray:
    """A row of discs with a number each, from 1."""
    pixels = np.zeros((20, 20 * (count + 5)), np.uint8)
    for number in range(1, count + 1):
        pixels[4:16, number * 20 : number * 20 + 12] = number
    return pixels


@pytest.mark.parametrize("blur", [1, 2, 4])
@pytest.mark.parametrize("radius", [20, 40])
def test_blurred_masks_are_no_objects(radius: int, blur: float) -> None:
    all_mask_stats = [mask_stats(disc(radius + i, 255, blur)) for i in range(4)]
    assert len(all_mask_stats[0].counts) > 20
    assert advise_on_all(all_mask_stats, BINARY) is None  # what is said of each names the nearest class


@pytest.mark.parametrize(
    ("masks", "named"),
    [
        ([numbered(count) for count in (30, 40)], [OBJECTS]),
        ([numbered(255)], [OBJECTS]),
        ([numbered(count) for count in (2, 5)], ["class_5=5}'", OBJECTS]),
        ([numbered(5), numbered(5)], ["class_5=5}'"]),
        ([numbered(3) * np.uint8(2), numbered(4) * np.uint8(2)], ["class_8=8}'"]),
        ([disc(20, 1), disc(30, 1)], ["foreground=1}'"]),
    ],
    ids=["many objects", "255 objects", "few objects", "five classes", "gaps", "one class"],
)
def test_every_reading_is_named(masks: list[np.ndarray], named: list[str]) -> None:
    advice = advise_on_all([mask_stats(mask) for mask in masks], BINARY)
    assert advice is not None
    assert all(text in advice for text in named)
    assert advice.count("--set") == len(named)


def test_names_that_were_given_are_kept() -> None:
    label_map = LabelMap({"sky": 0, "nucleus": 1}, None)
    advice = advise_on_all([mask_stats(numbered(2)), mask_stats(numbered(2))], label_map)
    assert advice is not None
    assert "classes={sky=0, nucleus=1, class_2=2}'" in advice


def test_the_share_of_each_value_is_told() -> None:
    halves = np.repeat(np.array([[0, 7, 7, 9]], np.uint8), 4, 0)
    blurred = mask_stats(disc(20, 255, 2))  # is no mask to count in
    advice = advise_on_all([mask_stats(halves), blurred], BINARY)
    assert advice is not None
    assert "(of the pixels: 0 25.0%, 7 50.0%, 9 25.0%)" in advice


def test_a_mask_of_nothing_but_the_image_gets_no_classes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    assert advise_on_all([mask_stats(noise)], BINARY) is None
    assert advise_on_all([], BINARY) is None
