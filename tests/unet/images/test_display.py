import numpy as np
import pytest

from unet.images import display
from unet.images.display import class_colors, overlay

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
