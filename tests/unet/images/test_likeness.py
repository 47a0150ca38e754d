"""Details of images: alike for the same picture however it is saved, unlike for others of its kind."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from unet.images.likeness import details, vectors
from unet.images.reader import read_image

NUCLEI = sorted((Path(__file__).parents[3] / "data/nuclei/images").iterdir())


def saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="module")
def known() -> NDArray[np.float32]:
    return vectors([read_image(path, with_details=True).details for path in NUCLEI])


def test_other_pictures_of_the_same_kind_are_unlike(known: NDArray[np.float32]) -> None:
    likeness = known @ known.T
    np.testing.assert_allclose(likeness.diagonal(), 1, atol=1e-5)
    np.fill_diagonal(likeness, 0)
    assert likeness.max() < 0.5


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter", "deeper", "colour", "turned"])
def test_the_same_picture_is_alike(known: NDArray[np.float32], change: str) -> None:
    for path, vector in list(zip(NUCLEI, known, strict=True))[::8]:
        with Image.open(path) as opened:
            image = opened.convert("L") if opened.mode == "L" else opened.convert("RGB")
        if change == "smaller":
            image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
        if change == "brighter":
            image = image.point(lambda value: min(255, 5 + value * 6 // 5))
        if change == "deeper":
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 200)
        if change == "colour":
            image = image.convert("RGB")
        if change == "turned":
            image = image.rotate(90, expand=True)
        content = saved(image, "JPEG" if change == "jpeg" else "PNG")
        assert vectors([read_image(content, with_details=True).details])[0] @ vector > 0.95


def test_what_has_no_details_is_like_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 200, 1), np.uint8)
    assert details(noise) == ""
    for value in (0, 7, 255):
        assert details(np.full((100, 90, 3), value, np.uint8)) == ""
    assert details(np.full((100, 90, 1), 40_000, np.uint16)) == ""
    assert vectors([]).shape == (0, 1024)
