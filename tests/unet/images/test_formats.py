"""JPEGs that break off, files that are none; what the formats hold is tested with `unet.images.reader`."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from unet.images.formats import count_pages, read_file
from unet.images.raster import ImageError
from unet.images.reader import decode, read_image


def jpeg(pixels: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    pixels.save(out, "JPEG", **options)
    return out.getvalue()


def noise(seed: int, shape: tuple[int, ...], blur: float) -> Image.Image:
    pixels = Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))
    return pixels.filter(ImageFilter.GaussianBlur(blur))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 5}])
def test_jpegs_that_break_off_before_their_end_marker(options: dict[str, Any], share: float) -> None:
    for shape in ((120, 90), (120, 90, 3)):
        data = jpeg(noise(0, shape, 1), **options)
        with pytest.raises(ImageError, match="damaged or truncated"):
            read_image(data[: int(len(data) * share)] + b"\xff\xd9")


@pytest.mark.parametrize("blur", [0, 1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1}]
)
def test_complete_jpegs_are_complete(options: dict[str, Any], blur: float) -> None:
    for seed in range(20):
        shape = tuple(np.random.default_rng(seed).integers(1, 90, 2))
        data = jpeg(noise(seed, shape, blur), quality=5 + 4 * seed, **options)
        decoded = decode(read_image(data + b"more").data)[..., 0]
        np.testing.assert_array_equal(decoded, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("name", ["pipe.png", "pipe.tif"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    for read in (read_image, read_file, count_pages):
        with pytest.raises(ImageError, match="a pipe or a device"):
            read(tmp_path / name)


def test_a_jpeg_of_scans_without_end_is_not_decoded() -> None:
    """Each scan goes over all pixels, and takes a few bytes in the file."""
    whole = jpeg(noise(1, (60, 60), 1), progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    read_image(whole[:-2] + scan * 20 + b"\xff\xd9")
    with pytest.raises(ImageError, match="a JPEG of more than 100 scans"):
        read_image(whole[:-2] + scan * 5000 + b"\xff\xd9")

    many = whole[:-2] + scan * 85 + b"\xff\xd9"
    at = many.index(b"\xff\xc2") + 5  # height and width
    large = many[:at] + (3500).to_bytes(2, "big") * 2 + many[at + 4 :]
    with pytest.raises(ImageError, match="a JPEG of more than 20 scans over 12250000 pixels"):
        read_image(large)


def test_a_png_is_not_inflated_far_beyond_its_pixels() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0))
    for size, refused in ((110, False), (200 << 20, True)):
        packed = chunk(b"IDAT", zlib.compress(bytes(size), 9))
        data = b"\x89PNG\r\n\x1a\n" + header + packed + chunk(b"IEND", b"")
        if refused:
            with pytest.raises(ImageError, match="more image data than its size"):
                read_image(data)
        else:
            assert read_image(data).height == 10


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def test_an_orientation_of_xmp_turns_no_image_as_exported_models_do_not_read_it() -> None:
    data = jpeg(noise(2, (20, 40), 1), xmp=XMP)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    image = read_image(data)
    assert (image.height, image.width, image.data == data) == (20, 40, True)


def test_the_orientation_of_exif_counts_beside_one_of_xmp() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    image = read_image(jpeg(noise(2, (20, 40), 1), xmp=XMP.replace(b'"6"', b'"1"'), exif=exif))
    assert (image.height, image.width) == (40, 20)
