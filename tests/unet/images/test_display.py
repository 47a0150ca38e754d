import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from unet.images import display
from unet.images.display import class_colors, class_letter, overlay

COLORS = class_colors(3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_background_is_the_image_in_gray_and_outlines_are_colors(dtype: type, channels: int) -> None:
    highest = np.iinfo(dtype).max
    ramp: np.ndarray = np.linspace(highest // 4, highest // 2, 40).astype(dtype)
    pixels = np.repeat(np.tile(ramp, (30, 1))[..., None], channels, -1)
    indices = np.zeros((30, 40), np.uint8)
    indices[5:15, 5:15] = 2
    shown = overlay(pixels, indices, COLORS)
    assert shown.shape == (30, 40, 3)
    background = shown[20:]
    assert (background[..., 0] == background[..., 2]).all()
    assert background.min() < 5  # stretched to the whole range
    assert background.max() > 250
    assert tuple(shown[5, 9]) == COLORS[2]
    inside = shown[10, 10].astype(int)
    assert inside[2] > inside[0]  # sky blue over grey
    assert tuple(inside) != COLORS[2]


def test_a_flat_image_and_a_full_mask() -> None:
    shown = overlay(np.full((4, 4, 1), 7, np.uint8), np.ones((4, 4), np.uint8), COLORS)
    assert (shown == shown[0, 0]).all()


def test_a_large_image_is_shown_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "LARGEST", 100)
    shown = overlay(np.zeros((40, 10, 1), np.uint8), np.zeros((40, 10), np.uint8), COLORS)
    assert shown.shape == (20, 5, 3)


def test_without_a_background_all_classes_have_colors_and_areas() -> None:
    colors = class_colors(9, first=0)
    assert colors[:7] == class_colors(8)[1:]
    assert (0, 0, 0) not in colors
    indices = np.repeat(np.arange(2, dtype=np.uint8), 8)[None].repeat(6, 0)
    shown = overlay(np.full((6, 16, 1), 7, np.uint8), indices, colors, first=0)
    assert tuple(shown[3, 7]) == colors[0]
    assert tuple(shown[3, 8]) == colors[1]
    assert shown[3, 2].tolist() != [shown[3, 2, 0]] * 3  # tinted, where a background would be grey


# What others see of linear red, green and blue; Machado, Oliveira, Fernandes 2009, at full severity.
EYES: dict[str, list[float]] = {
    "normal": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "protan": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
    "deutan": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
    "tritan": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
}


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("classes", "least"), [(8, 10.5), (12, 10.5), (13, 8)])
def test_the_colors_of_twelve_classes_are_told_apart_by_all_eyes(
    eyes: str, classes: int, least: float
) -> None:
    colors = np.array(class_colors(classes)) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.reshape(EYES[eyes], (3, 3)).T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055))
    assert min(deltaE_ciede2000(a, b) for a, b in itertools.combinations(lab, 2)) > least


@pytest.mark.parametrize(("classes", "first"), [(2, 1), (13, 1), (14, 1), (255, 1), (255, 0)])
def test_no_two_of_many_classes_have_one_color(classes: int, first: int) -> None:
    colors = class_colors(classes, first)
    assert len(set(colors)) == len(colors) == classes
    assert colors[first : first + 12] == class_colors(13)[1 : classes - first + 1]


@pytest.mark.parametrize(
    ("index", "first", "letter"), [(0, 1, ""), (1, 1, "A"), (0, 0, "A"), (26, 1, "Z"), (27, 1, "A2")]
)
def test_letters_begin_with_the_first_class_that_counts(index: int, first: int, letter: str) -> None:
    assert class_letter(index, first) == letter
