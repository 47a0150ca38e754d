"""Decodes images inside a graph, for Transform and the exported model, to the pixels of the offline reader.

TensorFlow's decoders mangle some images silently (16 bits to 8, palettes, alpha): those are refused here.
"""

from __future__ import annotations

import tensorflow as tf

from unet.images.channels import is_stacked
from unet.images.depth import DEPTH_SCALE
from unet.preprocessing.exif import apply_orientation, orientation
from unet.preprocessing.stacking import unstack

# Signature, length and name of the header chunk. Decoders accept other chunks before the header, whose bytes
# would be misread as the header's.
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEADER_BYTES = 33  # length of the signature and the whole header chunk
LEAST_SIDE = 188  # pixels: the smallest valid input size at depth 4; shorter sides are padded to it
PNG_GRAY, PNG_RGB = 0, 2  # colour types; 3 is palette, 4 and 6 have alpha
JPEG_SIGNATURE = b"\xff\xd8\xff"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ACCEPTED = (
    "accepted are PNG (grey or RGB, no palette, no alpha; 16 bits are kept) and JPEG (grey or RGB): "
    "convert others, TIFF among them, to PNG"
)


def decode_image(
    encoded: tf.Tensor, channels: int, max_pixels: int | None = None, name: tf.Tensor | str = "image"
) -> tf.Tensor:
    """Decodes a PNG of up to 16 bits or a JPEG, each grey or RGB, and turns it upright.

    An image of other channels is a grey PNG with its channels below one another (`unet.images.stacking`).

    RGB becomes grey by (299 R + 587 G + 114 B + 500) // 1000 on the stored integers (the luma weights of
    ITU-R BT.601, rounded), grey becomes RGB by repetition. The values of the header are checked before any
    pixel is decoded.

    Args:
        encoded: content of the image file, a scalar string.
        channels: number of channels of the decoded image.
        max_pixels: images with more `counted_pixels` are refused; None: there is no limit.
        name: name of the image in error messages.

    Returns:
        [H, W, channels] uint16; 8 bits are scaled by `DEPTH_SCALE`.

    Raises:
        tf.errors.InvalidArgumentError: the file has another format; is a palette, alpha or CMYK image, which
            TensorFlow's decoders would change silently; has too many pixels; or is damaged.
    """
    if is_stacked(channels):
        return _decode_stacked(encoded, channels, max_pixels, name)
    length = tf.strings.length(encoded)
    is_png = (tf.strings.substr(encoded, 0, 16) == PNG_START) & (length >= PNG_HEADER_BYTES)
    is_jpeg = tf.strings.substr(encoded, 0, 3) == JPEG_SIGNATURE
    is_tiff = tf.reduce_any(tf.strings.substr(encoded, 0, 4) == TIFF_SIGNATURES)
    kind = tf.where(is_tiff, "a TIFF file", "neither")
    encoded = checked(encoded, is_png | is_jpeg, f"{ACCEPTED}; this is", kind, "of bytes:", length, name=name)
    pixels = tf.cond(
        is_png,
        lambda: _decode_png(encoded, channels, max_pixels, name),
        lambda: _decode_jpeg(encoded, channels, max_pixels, name),
    )  # [h, w, channels]
    pixels = apply_orientation(pixels, orientation(encoded, is_png))  # [H, W, channels]
    return tf.ensure_shape(pixels, [None, None, channels])


def counted_pixels(height: int, width: int) -> int:
    """Number of pixels to compare with `max_pixels`; sides below `LEAST_SIDE` count as `LEAST_SIDE`."""
    return max(height, LEAST_SIDE) * max(width, LEAST_SIDE)


def checked(
    value: tf.Tensor, condition: tf.Tensor, *message: tf.Tensor | str, name: tf.Tensor | str = ""
) -> tf.Tensor:
    """Returns `value` with an assertion as its control dependency, without which a graph may skip it.

    Args:
        value: any tensor, which is returned.
        condition: the condition that must hold, a scalar bool.
        message: parts of the error message, texts and tensors.
        name: name of the checked image or element, printed before the message.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs and `condition` is false.
    """
    with tf.control_dependencies([tf.debugging.Assert(condition, [name, *message])]):
        return tf.identity(value)


def _small_enough(
    encoded: tf.Tensor, sides: tf.Tensor, max_pixels: int | None, name: tf.Tensor | str
) -> tf.Tensor:
    if max_pixels is None:
        return encoded
    pixels = tf.reduce_prod(tf.cast(tf.maximum(sides, LEAST_SIDE), tf.int64))  # []
    limit = f"images may have {max_pixels} pixels at most (a side of less than {LEAST_SIDE} counts as that); "
    limit += "sides of this one:"
    return checked(encoded, pixels <= max_pixels, limit, sides, name=name)


def _decode_stacked(
    encoded: tf.Tensor, channels: int, max_pixels: int | None, name: tf.Tensor | str
) -> tf.Tensor:
    accepted = f"accepted is a grey PNG with the {channels} channels of the image below one another"
    length = tf.strings.length(encoded)
    is_png = (tf.strings.substr(encoded, 0, 16) == PNG_START) & (length >= PNG_HEADER_BYTES)
    encoded = checked(encoded, is_png, f"{accepted}; this is no PNG, of bytes:", length, name=name)
    sides, _, color = _png_header(encoded)
    encoded = checked(encoded, color == PNG_GRAY, f"{accepted}; colour type of this PNG:", color, name=name)
    whole = (sides[1] >= channels) & (sides[1] % channels == 0)
    encoded = checked(encoded, whole, f"{accepted}; rows of this one:", sides[1], name=name)
    encoded = _small_enough(encoded, sides, max_pixels, name)
    return unstack(tf.io.decode_png(encoded, 1, tf.uint16), channels)  # [H, W, channels]


def _png_header(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Width and height, [2] int32, bits of a sample and colour type of a PNG: its bytes 16 to 25."""
    sides = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)  # [2]
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 24, 2), tf.uint8), tf.int32)  # [2]
    return sides, header[0], header[1]


def _decode_png(
    encoded: tf.Tensor, channels: int, max_pixels: int | None, name: tf.Tensor | str
) -> tf.Tensor:
    sides, bits, color = _png_header(encoded)  # [2], [], []
    is_rgb = color == PNG_RGB
    known = is_rgb | (color == PNG_GRAY)
    encoded = checked(encoded, known, f"{ACCEPTED}; colour type of this PNG:", color, name=name)
    encoded = _small_enough(encoded, sides, max_pixels, name)
    if channels == 3:
        return tf.io.decode_png(encoded, 3, tf.uint16)  # [H, W, 3]
    unit = tf.where(bits > 8, 1, DEPTH_SCALE)
    stored = tf.io.decode_png(encoded, 0, tf.uint16)  # [H, W, 1 or 3]
    return tf.cond(is_rgb, lambda: _gray(stored, unit), lambda: stored)  # [H, W, 1]


def _decode_jpeg(
    encoded: tf.Tensor, channels: int, max_pixels: int | None, name: tf.Tensor | str
) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(encoded)  # [3]: height, width, components
    components = shape[2]
    known = (components == 1) | (components == 3)
    encoded = checked(encoded, known, f"{ACCEPTED}; components of this JPEG:", components, name=name)
    encoded = _small_enough(encoded, shape[:2], max_pixels, name)
    # With the default method most values would differ by one from those of other decoders.
    stored = tf.io.decode_jpeg(  # [H, W, 1 or 3]
        encoded, 3 if channels == 3 else 0, dct_method="INTEGER_ACCURATE"
    )
    scaled = tf.cast(stored, tf.uint16) * DEPTH_SCALE
    if channels == 3:
        return scaled
    return tf.cond(components == 3, lambda: _gray(scaled, DEPTH_SCALE), lambda: scaled)  # [H, W, 1]


def _gray(rgb: tf.Tensor, unit: tf.Tensor | int) -> tf.Tensor:
    """Luma, [H, W, 3] uint16 -> [H, W, 1] uint16; `unit` is the step by which stored integers were scaled."""
    # 1000 * 65535 fits into int32.
    red, green, blue = (tf.cast(rgb[..., i : i + 1], tf.int32) // unit for i in range(3))  # [H, W, 1] each
    return tf.cast((299 * red + 587 * green + 114 * blue + 500) // 1000 * unit, tf.uint16)
