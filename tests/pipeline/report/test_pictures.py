"""Pictures on the page: exact to the pixel where they show classes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.report import pictures
from pipeline.report.artifacts import Missing
from pipeline.report.pictures import ERROR_COLORS, MISSED, RIGHT
from unet.images.display import PALETTE
from unet.masks.labels import IGNORE


def decode(uri: str) -> np.ndarray:
    """A data URI as [H, W, 4]."""
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_masks_have_the_colors_of_their_classes(classes: int):
    indices = np.append(np.arange(classes), IGNORE).astype(np.uint8)[None]
    shown = decode(pictures.mask(indices, classes))[0]
    assert shown[0].tolist() == [*PALETTE[0], 255]
    assert shown[1].tolist() == [*PALETTE[1], 255]
    assert len(np.unique(shown[:classes], axis=0)) == classes
    assert shown[-1].tolist() == [128, 128, 128, 255]


def letters_of(uri: str) -> list[tuple[str, float, float]]:
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/svg+xml"
    found = ElementTree.fromstring(base64.b64decode(data)).iter("{http://www.w3.org/2000/svg}text")
    return [(element.text or "", float(element.attrib["x"]), float(element.attrib["y"])) for element in found]


@pytest.mark.parametrize(
    ("classes", "first", "lettered"), [(8, 1, False), (9, 1, True), (7, 0, False), (8, 0, True)]
)
def test_letters_are_for_more_classes_than_colors_tell_apart(classes: int, first: int, lettered: bool):
    indices = np.ones((50, 50), np.uint8)
    assert bool(pictures.letters(indices, classes, first)) == lettered


def test_letters_stand_in_the_largest_regions_of_their_class():
    indices = np.zeros((200, 300), np.uint8)
    for i in range(5):
        indices[10:30, 10 + 50 * i : 25 + 8 * i + 50 * i] = 1  # five, each a little larger
    indices[60:160, 60:160] = 2
    indices[80:140, 80:160] = 0  # a horseshoe, whose middle is background
    indices[190, 100] = 11  # too small for a letter
    found = letters_of(pictures.letters(indices, 12))
    assert sorted(letter for letter, _, _ in found) == ["A", "A", "A", "B"]
    for letter, x, y in found:
        assert indices[int(y), int(x)] == "AB".index(letter) + 1
    assert all(x > 100 for letter, x, _ in found if letter == "A")


def test_letters_stand_in_the_middle_of_a_class_that_fills_the_picture():
    [(letter, x, y)] = letters_of(pictures.letters(np.full((100, 100), 3, np.uint8), 12))
    assert letter == "C"
    assert (x, y) == pytest.approx((50, 50), abs=1)


def test_an_unknown_class_is_drawn_as_not_counted():
    assert decode(pictures.mask(np.array([[77]], np.uint8), 2))[0, 0].tolist() == [128, 128, 128, 255]


def test_errors_are_translucent():
    kinds = np.zeros((9, 20), np.uint8)
    kinds[1:8, 1:8], kinds[1:8, 10:17] = MISSED, RIGHT
    shown = decode(pictures.errors(kinds))
    assert shown[0, 0, 3] == 0
    assert shown[4, 4, :3].tolist() == list(ERROR_COLORS[MISSED])
    assert 100 < shown[4, 4, 3] < 255
    assert shown[4, 13, :3].tolist() == list(ERROR_COLORS[RIGHT])
    assert 0 < shown[4, 13, 3] < 100  # what is right hides less


def test_error_colors_differ_in_brightness():
    bright = sorted(np.dot(color, (0.2126, 0.7152, 0.0722)) for color in ERROR_COLORS.values())
    assert np.diff(bright).min() > 8


def test_probabilities_keep_black_and_white():
    shown = decode(pictures.ramp(np.array([[0, 128, 255]], np.uint8)))[0, :, 0]
    assert shown.tolist() == [0, pytest.approx(128, abs=8), 255]


def test_read(tmp_path: Path):
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((5, 5), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert pictures.read(tmp_path / "grey.png", "RGB", 100).shape == (10, 20, 3)
    assert pictures.read(tmp_path / "grey.png", "L", 10).shape == (5, 10)
    indices = pictures.read(tmp_path / "grey.png", "index", 10)
    assert set(np.unique(indices)) <= set(range(200))
    assert (pictures.read(tmp_path / "deep.png", "L", 10) == 255).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_picture_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Missing, match=r"a\.png cannot be read"):
        pictures.read(tmp_path / "a.png", "L", 10)
    with pytest.raises(Missing, match=r"b\.png is gone"):
        pictures.read(tmp_path / "b.png", "L", 10)


def test_without_a_background_each_class_has_a_color():
    shown = decode(pictures.mask(np.array([[0, 0, 1, 2, IGNORE]], np.uint8), 3, first=0))[0]
    assert [tuple(color) for color in shown[2:4, :3]] == [PALETTE[2], PALETTE[3]]
    assert tuple(shown[0, :3]) == PALETTE[1]
