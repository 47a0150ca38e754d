"""Decoding in the graph: the offline reader's pixels, and nothing that TensorFlow's decoders would mangle."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.unet.encoded_images import gray_by_hand, noise, pillow, png
from unet.images.reader import encode_image
from unet.preprocessing.decoding import decode_image


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 257), (np.uint16, 1)])
def test_png_of_8_and_16_bits(dtype: type[np.unsignedinteger], unit: int) -> None:
    gray, rgb = noise(9, 13, 1, dtype=dtype), noise(9, 13, 3, dtype=dtype)
    stored = {"grey": png(gray), "rgb": png(rgb)}
    decoded = {(name, c): decode_image(stored[name], c).numpy() for name in stored for c in (1, 3)}
    assert {d.dtype for d in decoded.values()} == {np.dtype(np.uint16)}
    np.testing.assert_array_equal(decoded["grey", 1], gray.astype(int) * unit)
    np.testing.assert_array_equal(decoded["grey", 3], np.repeat(gray.astype(int) * unit, 3, -1))
    np.testing.assert_array_equal(decoded["rgb", 3], rgb.astype(int) * unit)
    np.testing.assert_array_equal(decoded["rgb", 1], gray_by_hand(rgb) * unit)


def test_gray_of_the_brightest_pixels_does_not_overflow() -> None:
    white = np.full((1, 1, 3), 65535, np.uint16)
    assert decode_image(png(white), 1).numpy().tolist() == [[[65535]]]


@pytest.mark.parametrize("quality", [40, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_is_what_pillow_reads(quality: int, subsampling: int) -> None:
    ramp = np.add.outer(np.arange(45), 2 * np.arange(61))[..., None] * np.array([1, 2, 3]) % 256
    data = pillow(ramp.astype(np.uint8), "JPEG", quality=quality, subsampling=subsampling)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_image(data, 3).numpy(), expected.astype(int) * 257)
    np.testing.assert_array_equal(decode_image(data, 1).numpy(), gray_by_hand(expected) * 257)


def test_gray_jpeg() -> None:
    data = pillow(noise(20, 30), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)))[..., None].astype(int) * 257
    np.testing.assert_array_equal(decode_image(data, 1).numpy(), expected)
    np.testing.assert_array_equal(decode_image(data, 3).numpy(), np.repeat(expected, 3, -1))


REFUSED = {
    "bmp": pillow(noise(4, 4), "BMP"),
    "gif": pillow(noise(4, 4), "GIF"),
    "tiff": pillow(noise(4, 4), "TIFF"),
    "text": b"not an image, whatever its name says, but long enough to be one",
    "empty": b"",
    "only a PNG signature": b"\x89PNG\r\n\x1a\n",
    "palette": pillow(noise(4, 4), "PNG", "P"),
    "grey and alpha": pillow(noise(4, 4), "PNG", "LA"),
    "rgb and alpha": pillow(noise(4, 4, 3), "PNG", "RGBA"),
    "cmyk": pillow(noise(4, 4, 3), "JPEG", "CMYK"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("channels", [1, 3])
def test_refusals_name_what_is_accepted(kind: str, channels: int) -> None:
    in_graph = tf.function(lambda data: decode_image(data, channels))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"accepted are PNG .* and JPEG"):
        in_graph(tf.constant(REFUSED[kind]))


def test_a_chunk_before_the_header_hides_nothing() -> None:
    data = png(noise(40, 40, 1))
    fake = b"\0\0\0\rabCd" + struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    hidden = data[:8] + fake + struct.pack(">I", zlib.crc32(fake[4:])) + data[8:]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"accepted are PNG .* and JPEG"):
        decode_image(hidden, 1, max_pixels=10**6)


@pytest.mark.parametrize("data", [png(noise(40, 40, 1))[:200], pillow(noise(40, 40), "JPEG")[:200]])
def test_truncated_files_are_invalid_arguments(data: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(data, 1)


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 257), (np.uint16, 1)])
def test_other_channels_lie_below_one_another(
    channels: int, dtype: type[np.unsignedinteger], unit: int
) -> None:
    pixels = noise(9, 13, channels, dtype=dtype)
    decoded = decode_image(encode_image(pixels), channels).numpy()
    np.testing.assert_array_equal(decoded, pixels.astype(int) * unit)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png(noise(9, 13, 1)), "4 channels of the image below one another; rows of this one:"),
        (png(noise(8, 13, 3)), "below one another; colour type of this PNG:"),
        (pillow(noise(8, 13, 4), "PNG"), "below one another; colour type of this PNG:"),
        (pillow(noise(8, 8), "JPEG"), "this is no PNG"),
        (b"II*\0" + bytes(99), "this is no PNG"),
        (encode_image(noise(300, 300, 4)), "images may have 300000 pixels"),
    ],
)
def test_what_cannot_hold_four_channels_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        decode_image(data, 4, 300_000)
