"""EXIF orientation in the graph: the same pixels as the offline reader's, whatever the block looks like."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet.images.reader import decode, read_image
from unet.preprocessing.decoding import decode_image

DECODE = tf.function(lambda data: decode_image(data, 1), input_signature=[tf.TensorSpec([], tf.string)])


def picture(kind: str, orientation: int | None, endian: str = "<", **options: object) -> bytes:
    ramp = (np.add.outer(5 * np.arange(20), 3 * np.arange(31)) % 256).astype(np.uint8)
    exif, out = Image.Exif(), io.BytesIO()
    exif.endian = endian
    exif[0x010F] = "maker of cameras"
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(ramp).save(out, kind, exif=exif, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_images_are_turned_as_offline(kind: str, endian: str, orientation: int | None) -> None:
    data = picture(kind, orientation, endian)
    expected = decode(read_image(data).data).astype(int) * 257
    assert expected.shape[:2] == ((31, 20) if orientation in (5, 6, 7, 8) else (20, 31))
    np.testing.assert_array_equal(DECODE(data), expected)


def with_exif(block: bytes, before: bytes = b"") -> bytes:
    plain = picture("JPEG", None)
    segment = b"Exif\0\0" + block
    return plain[:2] + before + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def test_odd_blocks_that_say_something() -> None:
    as_long = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 4, 1, 6)
    as_short = struct.pack("<2sHIHHHIHH", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0)
    for data in (with_exif(as_long), with_exif(as_short, before=b"\xff\xff")):
        expected = decode(read_image(data).data).astype(int) * 257
        assert expected.shape == (31, 20, 1)
        np.testing.assert_array_equal(DECODE(data), expected)


def test_a_file_of_segments_alone_is_given_up() -> None:
    data = with_exif(struct.pack("<2sHIHHHIHH", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0), b"\xff\xe2\0\2" * 1000)
    assert DECODE(data).shape == (20, 31, 1)


def test_other_segments_come_before() -> None:
    data = picture("JPEG", 6, comment=b"a comment, whose segment comes first", icc_profile=b"x" * 70000)
    assert DECODE(data).shape == (31, 20, 1)


# The directory: cut off behind its first bytes, far away, without entries, with endless ones.
BLOCKS = [
    b"", b"II", b"II*\0", b"MM\0*\0\0", struct.pack("<2sHI", b"II", 42, 10**9),
    struct.pack("<2sHIH", b"II", 42, 8, 0), struct.pack("<2sHIH", b"II", 42, 8, 65535),
]  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_that_says_nothing_is_upright(block: bytes) -> None:
    np.testing.assert_array_equal(DECODE(with_exif(block)), DECODE(picture("JPEG", None)))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_are_errors_or_images_but_never_hang(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    data = bytearray(picture("PNG" if seed % 2 else "JPEG", 6))
    for at in numbers.integers(8, len(data), 8):
        data[at] = numbers.integers(256)
    with contextlib.suppress(tf.errors.InvalidArgumentError):
        assert DECODE(bytes(data)).shape[-1] == 1
