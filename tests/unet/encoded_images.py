"""Images of noise and their files, for the tests of what decodes and serves them."""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image


def noise(*shape: int, dtype: type[np.unsignedinteger] = np.uint8) -> NDArray:
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def png(image: NDArray) -> bytes:
    return tf.io.encode_png(image).numpy()


def pillow(image: NDArray, file_format: str, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(buffer, file_format, **options)
    return buffer.getvalue()


def gray_by_hand(rgb: NDArray) -> NDArray:
    r, g, b = np.moveaxis(rgb.astype(np.int64), -1, 0)
    return ((299 * r + 587 * g + 114 * b + 500) // 1000)[..., None]
