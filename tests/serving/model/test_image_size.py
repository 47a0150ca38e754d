"""Sizes that headers claim, without decoding anything."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from serving.model.image_size import TOO_MANY, declared_pixels


def encoded(mode: str, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


FILES = {
    "grey PNG": encoded("L", "PNG"),
    "RGB PNG": encoded("RGB", "PNG"),
    "palette PNG": encoded("P", "PNG"),
    "grey JPEG": encoded("L", "JPEG"),
    "RGB JPEG": encoded("RGB", "JPEG"),
    "progressive JPEG": encoded("RGB", "JPEG", progressive=True),
    "JPEG with a comment": encoded("L", "JPEG", comment=b"\xff\xc0" * 100),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("before", [b"", b"\x0a\x08some field of a message"])
def test_size_of_a_file_wherever_it_lies(kind: str, before: bytes):
    assert declared_pixels(before + FILES[kind] + b"after it") == 50 * 70


def test_the_largest_counts():
    assert declared_pixels(FILES["grey PNG"] + bomb(2000, 3000) + FILES["RGB JPEG"]) == 6_000_000


def bomb(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 0, 0, 0, 0)


def test_a_claim_beyond_all_integers():
    assert declared_pixels(bomb(2**32 - 1, 2**32 - 1)) == (2**32 - 1) ** 2


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_short_anywhere_has_its_size_or_none(kind: str):
    data = FILES[kind]
    assert {declared_pixels(data[:length]) for length in range(min(1000, len(data)))} <= {0, 50 * 70}


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 50, b"\xff\xd8\xff\xe0\0\0" * 9]
)
def test_what_is_no_image_has_none(data: bytes):
    assert declared_pixels(data) == 0


def test_a_file_of_starts_alone_takes_no_square_of_time():
    data = b"\xff\xd8\xff\xe2\0\4" * 200_000
    assert declared_pixels(data) == TOO_MANY
