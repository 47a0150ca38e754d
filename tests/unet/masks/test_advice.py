from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from unet.masks.advice import advise_class_map, advise_on_all
from unet.masks.labels import LabelMap
from unet.masks.reader import read_mask_stats
from unet.masks.shapes import measure
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


def advised(*masks: np.ndarray, label_map: LabelMap = BINARY) -> str | None:
    return advise_on_all([mask_stats(m) for m in masks], label_map, [measure(m) for m in masks if m.ndim < 3])


def rim(inside: int, value: int, background: int = 0, width: float = 1) -> np.ndarray:
    """A disc with a rim of another value."""
    at = np.hypot(*(np.mgrid[:128, :128] - 64))
    pixels = np.where(at < 40, inside, background)
    return np.where(abs(at - 40) < width, value, pixels).astype(np.uint8)


def test_many_numbers_get_one_line() -> None:
    assert advised(numbered(6), numbered(16)) == f"each number is an object: {OBJECTS}"


CELL = LabelMap({"background": 0, "cell": 1})
THREE = LabelMap({"background": 0, "a": 1, "b": 2})


@pytest.mark.parametrize(
    ("mask", "label_map", "setting"),
    [
        (rim(1, 255), BINARY, "--set 'classes={background=0, class_1=1}' --set ignore=255"),
        (rim(1, 255), CELL, "--set 'classes={background=0, cell=1}' --set ignore=255"),
        (rim(2, 255, 1), THREE, None),  # no 0: not of VOC
        (rim(255, 128), BINARY, "--set 'classes={background=0, foreground=255}' --set ignore=128"),
        (
            np.repeat(np.array([[0, 1, 2, 255]], np.uint8), 40, 0).repeat(40, 1),
            THREE,
            "--set 'classes={background=0, a=1, b=2}' --set ignore=255",
        ),
    ],
)
def test_void_is_ignored_and_no_class(mask: np.ndarray, label_map: LabelMap, setting: str | None) -> None:
    advice = advised(mask, label_map=label_map)
    assert advice is not None
    assert advice.endswith(setting) if setting else "ignore" not in advice


def test_the_void_of_voc_in_colour() -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[1], colors[255] = (128, 0, 0), (224, 224, 192)
    mask = colors[rim(1, 255)]
    values = (mask.astype(int) << [16, 8, 0]).sum(-1)
    advice = advise_on_all([mask_stats(mask)], BINARY, [measure(values)])
    assert advice is not None
    assert """--set 'classes={background="#000000", class_1="#800000"}' --set 'ignore="#e0e0c0"'""" in advice


@pytest.mark.parametrize(
    ("mask", "label_map"),
    [
        (rim(255, 254), BINARY),
        (rim(255, 1), BINARY),
        (disc(30, 254), BINARY),
        (disc(30, 250), BINARY),
        (rim(1, 254), LabelMap({"background": 0, "cell": 1}, 255)),
    ],
    ids=["254 beside 255", "1 beside 0", "only 254", "only 250", "beside what is ignored"],
)
def test_values_beside_declared_ones_are_of_the_nearest(mask: np.ndarray, label_map: LabelMap) -> None:
    if label_map.ignore:
        mask[:30] = 255
    advice = advised(mask, label_map=label_map)
    assert advice is not None
    assert advice.count("--set") == 1
    assert "--set mask_values=nearest" in advice


@pytest.mark.parametrize(
    ("mask", "label_map"),
    [(disc(30, 1), BINARY), (disc(30, 2), CELL), (rim(0, 1), BINARY), (numbered(3), CELL)],
    ids=["another white", "another class", "a thin class", "two more classes"],
)
def test_other_classes_are_no_near_misses(mask: np.ndarray, label_map: LabelMap) -> None:
    advice = advised(mask, label_map=label_map)
    assert advice is not None
    assert "nearest" not in advice


def test_rims_of_values_that_nobody_declared() -> None:
    advice = advised(rim(128, 127), rim(200, 199))
    assert advice is not None
    assert advice.endswith("class_128=128, class_200=200}' --set mask_values=nearest")


def test_a_constant_offset_keeps_the_names() -> None:
    advice = advised(disc(30, 1) + np.uint8(1), label_map=CELL)
    assert advice == "the values are those of the classes and 1 more: --set 'classes={background=1, cell=2}'"
    assert "--set 'classes={background=1, foreground=2}'" in (advised(disc(30, 1) + np.uint8(1)) or "")
    assert "no mask holds 0, so 1 is taken for the background" in (advised(disc(30, 1) + np.uint8(1)) or "")


@pytest.mark.parametrize(
    ("mask", "classes", "setting"),
    [
        (numbered(2), {"sky": 0, "tree": 1, "my car": 2}, """'classes={sky=0, tree=1, "my car"=2}'"""),
        (numbered(2), {"sky": 0, "tree": 1}, None),  # 2 has no name
        (numbered(2), {"sky": "#000000", "tree": "#ff0000"}, None),
        (rim(1, 255), {"sky": 0, "cell": 1}, "'classes={sky=0, cell=1}' --set ignore=255"),
    ],
)
def test_classes_of_a_file_beside_the_masks(
    mask: np.ndarray, classes: dict[str, int], setting: str | None
) -> None:
    advice = advise_class_map([mask_stats(mask)], (Path("classes.json"), classes))
    assert advice == (setting and f"take the classes of classes.json: --set {setting}")


@pytest.mark.parametrize(
    ("mask", "classes", "settings"),
    [
        (numbered(2), {"void": 0, "tree": 1, "car": 2}, "--set 'classes={tree=1, car=2}' --set ignore=0"),
        (rim(1, 255), {"sky": 0, "car": 1, "Void": 255}, "--set 'classes={sky=0, car=1}' --set ignore=255"),
        (rim(1, 255), {"void": 0, "car": 1}, "--set 'classes={void=0, car=1}' --set ignore=255"),
        (disc(9, 1), {"ignore": 0, "car": 1}, "--set 'classes={ignore=0, car=1}'"),
    ],
    ids=["the first", "the last", "another void, too", "one class would be left"],
)
def test_a_class_that_a_file_calls_void_is_ignored(
    mask: np.ndarray, classes: dict[str, int], settings: str
) -> None:
    advice = advise_class_map([mask_stats(mask)], (Path("classes.json"), classes))
    assert advice is not None
    assert advice.endswith(f": {settings}")


def test_a_void_color_of_a_labelmap_is_ignored() -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    pixels[3], pixels[6] = (255, 0, 0), (224, 224, 192)
    classes = {"void": "#e0e0c0", "road": "#000000", "car": "#ff0000"}
    advice = advise_class_map([mask_stats(pixels)], (Path("labelmap.txt"), classes))
    assert advice == "take the classes of labelmap.txt, and ignore its void: --set " + (
        """'classes={road="#000000", car="#ff0000"}' --set 'ignore="#e0e0c0"'"""
    )
