from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unet.images.raster import ImageError
from unet.images.reader import decode
from unet.inference import inputs
from unet.inference.inputs import InputImage, large_pages, read

PIXELS = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)


@pytest.fixture(autouse=True)
def from_600_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of more than 20 x 30 pixels is large."""
    monkeypatch.setattr(inputs, "LARGE_PIXELS", 600)


def test_a_page_is_large_beyond_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for width in (30, 31, 29):
            file.write(np.zeros((20, width), np.uint8))
    assert large_pages(path, 3) == [False, True, False]
    assert large_pages(path, 2) == [False, False]  # not what the caller found in it


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_large_pages_of_both_byte_orders_stay_on_disk(tmp_path: Path, byteorder: str) -> None:
    path = tmp_path / "a.tif"
    pixels = np.vstack([PIXELS, PIXELS])
    tifffile.imwrite(path, pixels, byteorder=byteorder)
    assert large_pages(path, 1) == [True]
    image = read(path)
    assert (image.height, image.width, image.encoded) == (40, 30, None)
    assert image.stored is not None
    np.testing.assert_array_equal(image.pixels, pixels[..., None])
    assert read(path, large=False).stored is None
    assert read(path.read_bytes()).stored is None


def test_other_files_are_encoded_whatever_their_size(tmp_path: Path) -> None:
    pixels = np.vstack([PIXELS, PIXELS])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path / "none.png"):
        assert large_pages(path, 2) == [False, False]
    image = read(str(tmp_path / "a.png"))
    assert (image.height, image.width, image.stored) == (40, 30, None)
    assert image.encoded is not None
    np.testing.assert_array_equal(decode(image.encoded), pixels[..., None])
    np.testing.assert_array_equal(image.pixels, pixels[..., None])


def test_a_large_page_that_is_no_plain_one_is_decoded(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 30), np.uint8), photometric="miniswhite")
    assert large_pages(tmp_path / "a.tif", 1) == [True]
    image = read(tmp_path / "a.tif")
    assert image.stored is None
    assert (image.pixels == 255).all()


def test_what_is_large_is_told_once(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    assert read(tmp_path / "a.tif").stored is None
    assert read(tmp_path / "a.tif", large=True).stored is not None


def test_values_of_no_known_range_are_refused_or_scaled(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS / np.float32(599))
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "a.tif")
    assert "convert this one as they were converted" in caught.value.advice
    assert read(tmp_path / "a.tif", value_range=(0, 1)).pixels.max() == 65535


def test_an_image_without_pixels_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="Received: neither"):
        _ = InputImage(1, 1, None).pixels
