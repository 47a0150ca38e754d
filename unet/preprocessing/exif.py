"""EXIF orientation inside a graph: TensorFlow's decoders ignore it, and cameras rely on it.

Finds the EXIF block of a JPEG (APP1 segment) or PNG (eXIf chunk), reads tag 0x0112 of its first directory
(EXIF 2.3, section 4.6.4; TIFF 6.0, section 2), and turns the pixels accordingly. An image whose block is cut
off or has no such tag counts as upright.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_JPEG_APP1, _JPEG_IMAGE, _JPEG_END = 0xE1, 0xDA, 0xD9
_JPEG_FIRST_SEGMENT, _PNG_FIRST_CHUNK = 2, 8
_TAG, _SHORT, _LONG, _ENTRY = 0x0112, 3, 4, 12
# Limits of the parts of a file and of the directory entries that are read: a file with more is an attack.
_MOST_PARTS, _MOST_ENTRIES = 1000, 500


# Traced once per process: five graphs of Transform and each signature of an exported model decode images.
@tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool)], autograph=False)
def orientation(encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Orientation of a JPEG or PNG, int32, 1 to 8; 1 (upright) for a file without a valid orientation.

    Args:
        encoded: content of the file, a scalar string.
        is_png: whether the file is a PNG, a scalar bool; otherwise the file is a JPEG.
    """
    at = tf.cond(is_png, lambda: _exif_of_png(encoded), lambda: _exif_of_jpeg(encoded))
    # An offset of 0 means that the file has no EXIF block.
    found = tf.cond(at > 0, lambda: _read_tag(encoded, at), lambda: 1)
    return tf.where((found >= 1) & (found <= 8), found, 1)


def apply_orientation(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image [H, W, C] upright by its EXIF orientation; orientations 5 to 8 swap the axes."""

    def turn() -> tf.Tensor:
        is_one_of = lambda *values: tf.reduce_any(orientation == values)  # noqa: E731
        turned = tf.cond(  # [W, H, C] or [H, W, C]
            orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels
        )
        turned = tf.cond(is_one_of(3, 4, 7, 8), lambda: turned[::-1], lambda: turned)
        return tf.cond(is_one_of(2, 3, 6, 7), lambda: turned[:, ::-1], lambda: turned)

    return tf.cond(orientation > 1, turn, lambda: pixels)


def _exif_of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Offset of the TIFF header of a JPEG's EXIF block, int32; 0 for a file without an EXIF block."""
    length = tf.strings.length(encoded)

    def goes_on(at: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        marker, name = _number(encoded, at, 1), _number(encoded, at + 1, 1)
        return (found == 0) & (marker == 0xFF) & (name != _JPEG_IMAGE) & (name != _JPEG_END)

    def segment(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_exif = (_number(encoded, at + 1, 1) == _JPEG_APP1) & (_text(encoded, at + 4, 6) == b"Exif\0\0")
        # Any number of fill bytes 0xff may stand before a marker. A segment's length includes its own two
        # bytes, so the step is at least 4 and the search never goes backwards.
        is_fill = _number(encoded, at + 1, 1) == 0xFF
        step = tf.where(is_fill, 1, 2 + tf.maximum(_number(encoded, at + 2, 2), 2))
        return tf.minimum(at + step, length), tf.where(is_exif, at + 10, found)

    return _search(goes_on, segment, _JPEG_FIRST_SEGMENT)


def _exif_of_png(encoded: tf.Tensor) -> tf.Tensor:
    length = tf.strings.length(encoded)

    def goes_on(at: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return (found == 0) & (at < length) & (_text(encoded, at + 4, 4) != b"IDAT")

    def chunk(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_exif = _text(encoded, at + 4, 4) == b"eXIf"
        # Length, name and checksum take 12 bytes; an impossible length ends the search.
        room = tf.clip_by_value(_number(encoded, at, 4), 0, length)
        return tf.minimum(at + 12 + room, length), tf.where(is_exif, at + 8, found)

    return _search(goes_on, chunk, _PNG_FIRST_CHUNK)


def _search(goes_on: Callable[..., tf.Tensor], part: Callable[..., Any], first: int) -> tf.Tensor:
    """Walks the parts of a file one after the other; returns the first offset found, or 0."""
    found: tf.Tensor = tf.while_loop(
        goes_on, part, (first, 0), parallel_iterations=1, maximum_iterations=_MOST_PARTS
    )[1]
    return found


def _read_tag(encoded: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Value of the orientation tag in the first directory of a TIFF header, int32; 0 without such a tag."""
    little = _text(encoded, start, 2) == b"II"
    first = start + tf.clip_by_value(_number(encoded, start + 4, 4, little), 0, tf.strings.length(encoded))
    entries = _number(encoded, first, 2, little)

    def entry(i: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        at = first + 2 + i * _ENTRY
        tag, kind = _number(encoded, at, 2, little), _number(encoded, at + 2, 2, little)
        short, long = (_number(encoded, at + 8, size, little) for size in (2, 4))
        value = tf.where((tag == _TAG) & (kind == _SHORT), short, value)
        return i + 1, tf.where((tag == _TAG) & (kind == _LONG), long, value)

    return tf.while_loop(
        lambda i, value: (i < tf.minimum(entries, _MOST_ENTRIES)) & (value == 0),
        entry,
        (0, 0),
        parallel_iterations=1,
    )[1]


def _number(encoded: tf.Tensor, at: tf.Tensor, size: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """Unsigned number of `size` bytes as int32 (negative from 2^31 on); missing bytes count as 0."""
    data = tf.pad(tf.io.decode_raw(_text(encoded, at, size), tf.uint8), [[0, size]])[:size]
    data = tf.cast(tf.where(little, data[::-1], data), tf.int32)
    return tf.reduce_sum(tf.bitwise.left_shift(data, [8 * i for i in reversed(range(size))]))


def _text(encoded: tf.Tensor, at: tf.Tensor, size: int) -> tf.Tensor:
    """Up to `size` bytes from offset `at` on; empty beyond the end, where TensorFlow would raise."""
    return tf.strings.substr(encoded, tf.minimum(at, tf.strings.length(encoded)), size)
