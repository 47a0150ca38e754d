"""A mask lies on the map where its image lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unet.inference.world_file import world_file

PIXELS = np.zeros((6, 9), np.uint8)
LINES = b"0.5\n0.0\n0.0\n-0.25\n1000.25\n1999.875\n"
SCALE, TIE = (
    (33550, 12, 3, (0.5, 0.25, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), True),
)
LATER = (33922, 12, 6, (2.0, 4.0, 0.0, 1001.0, 1999.0, 0.0), True)
MATRIX = (34264, 12, 16, (0.5, 0, 0, 1000, 0, -0.25, 0, 2000, 0, 0, 0, 0, 0, 0, 0, 1), True)
POINT = (34735, 3, 8, (1, 1, 0, 1, 1025, 0, 1, 2), True)


@pytest.mark.parametrize(
    ("tags", "lines"),
    [
        ([SCALE, TIE], LINES),
        ([SCALE, LATER], LINES),
        ([MATRIX], LINES),
        ([SCALE, TIE, POINT], b"0.5\n0.0\n0.0\n-0.25\n1000.0\n2000.0\n"),
        ([SCALE], None),
        ([], None),
        ([SCALE, TIE, (274, 3, 1, 6, True)], None),  # shown turned by a quarter
    ],
)
def test_the_tags_of_a_geotiff(tmp_path: Path, tags: list[Any], lines: bytes | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, extratags=tags)
    assert world_file(path) == lines


@pytest.mark.parametrize(
    ("image", "name"),
    [("a.png", "a.pgw"), ("a.jpg", "a.JGW"), ("a.tif", "a.tfw"), ("a.png", "a.wld"), ("a.tif", "a.tifw")],
)
def test_a_world_file_beside_the_image(tmp_path: Path, image: str, name: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / image)
    assert world_file(tmp_path / image) is None
    (tmp_path / name).write_bytes(LINES)
    assert world_file(tmp_path / image) == LINES


def test_rasterio_reads_the_same_place(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    for i, place in enumerate((Affine(0.5, 0, 1000, 0, -0.25, 2000), Affine(0.5, 0.1, 7, 0.2, -0.25, 9))):
        kind = {"driver": "GTiff", "width": 9, "height": 6, "count": 1, "dtype": "uint8"}
        with rasterio.open(tmp_path / f"{i}.tif", "w", **kind, crs="EPSG:32633", transform=place) as file:
            file.write(PIXELS, 1)
        Image.fromarray(PIXELS).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.pgw").write_bytes(world_file(tmp_path / f"{i}.tif") or b"")
        with rasterio.open(tmp_path / f"{i}.png") as file:
            assert file.transform.almost_equals(place, 1e-9)


def test_a_file_of_another_kind_than_its_name_says_is_on_no_map(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_bytes(LINES)
    assert world_file(tmp_path / "a.tif") is None


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_that_is_shown_turned_is_on_no_map(tmp_path: Path, turned: bool) -> None:
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    # What XMP says turns no image.
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif, xmp=b'<a tiff:Orientation="6"/>')
    (tmp_path / "a.jgw").write_bytes(LINES)
    assert world_file(tmp_path / "a.jpg") == (None if turned else LINES)
