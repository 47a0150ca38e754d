"""The only reader of images: what comes in varies, what flows on is canonical.

An image becomes *canonical bytes*, which TensorFlow's decoders and this module read alike: grey or RGB PNG
of 8 or 16 bits, or an upright grey or RGB JPEG. Files that already are go through byte for byte; anything
else is re-encoded once, without loss. What cannot be read honestly is refused with advice.
"""

from __future__ import annotations

import decimal
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image as PILImage

from unet.images.depth import DEPTH_SCALE
from unet.images.formats import read_raster
from unet.images.raster import ImageError, Raster

MAX_PIXELS = 10**9
_BLOCK = 1 << 20  # values that are looked at at a time where copies of them are made
ValueRange = tuple[float, float]


class NeedsRange(ImageError):
    """An image whose values are not 8 or 16 unsigned bits; `low` and `high` are the extreme ones."""

    def __init__(self, kind: str, low: float, high: float):
        """Args: kind: of the values, for people."""
        super().__init__(
            f"{kind} values from {low:g} to {high:g}",
            f"give black and white of all images, for example --set 'value_range={as_range(low, high)}'",
        )
        self.low, self.high = low, high


@dataclass(frozen=True)
class Image:
    """Canonical encoded bytes and scalars of one image.

    `mean` and `stddev` are over all pixels and channels on the 0..255 scale at any bit depth: those of a
    16-bit file are divided by `DEPTH_SCALE`, so that a statistic means the same in a mixed set. `height` and
    `width` are in pixels, `bit_depth` is 8 or 16. `channels` is 3, or 1 for grey: a file of three equal
    channels is grey, too, whatever its bytes. `content` is equal for equal pixels, whatever kind of file they
    are from.
    """

    data: bytes
    height: int
    width: int
    channels: int
    bit_depth: int
    mean: float
    stddev: float
    content: str


def read_image(
    source: str | Path | bytes,
    *,
    page: int = 0,
    max_pixels: int = MAX_PIXELS,
    value_range: ValueRange | None = None,
) -> Image:
    """Reads an image completely.

    Args:
        source: path or content of a PNG, JPEG, TIFF or BMP file.
        page: of a multi-page TIFF.
        max_pixels: larger images are refused before they are decoded.
        value_range: black and white of floating-point, signed and 32-bit values, which become 16 bits.

    Raises:
        ImageError: the file cannot be read, is damaged, or cannot be represented without loss.
        NeedsRange: its values need a `value_range`.
    """
    raster = read_raster(source, page, max_pixels)
    pixels = _intensities(raster, value_range)
    if pixels.shape[-1] == 3 and _is_gray(pixels):
        pixels = np.ascontiguousarray(pixels[..., :1])
    mean, stddev = _moments(pixels)
    height, width, channels = pixels.shape
    depth = pixels.dtype.itemsize * 8
    # Good hashes take a quarter of the time of decoding. The moments are exact: only for images of the very
    # same values the checksum matters.
    checksum = zlib.crc32(np.ascontiguousarray(pixels).data)
    content = f"{width}x{height}x{channels}x{depth} {mean!r} {stddev!r} {checksum:08x}"
    data = raster.canonical or encode_png(pixels)
    return Image(data, height, width, channels, depth, mean, stddev, content)


def decode(data: bytes) -> np.ndarray:
    """Decodes canonical bytes: uint8 or uint16 [height, width, channels], equal to TensorFlow's decoders."""
    return _intensities(read_raster(data, 0, MAX_PIXELS), None)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 or uint16 [height, width] or [height, width, 1 or 3] as PNG.

    Raises:
        ValueError: another shape or type.
    """
    gray = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    color = gray.ndim == 3 and gray.shape[-1] == 3
    if gray.dtype not in (np.uint8, np.uint16) or not (gray.ndim == 2 or color):
        raise ValueError(f"cannot encode {pixels.dtype} {pixels.shape} as PNG")
    gray = np.ascontiguousarray(gray)
    # The fastest level: a tenth of the time of the default one for files a few per cent larger.
    if color and gray.dtype == np.uint16:  # which Pillow does not write
        return bytes(imagecodecs.png_encode(gray.copy(), level=1))  # a copy has the strides it asks for
    out = io.BytesIO()
    PILImage.fromarray(gray).save(out, "PNG", compress_level=1)
    return out.getvalue()


def to_grayscale(rgb: np.ndarray) -> np.ndarray:
    """Luma of uint8 or uint16 [..., 3] -> [...], in integers, so that a TensorFlow graph can do the same."""
    red, green, blue = (rgb[..., i].astype(np.int32) for i in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(rgb.dtype)


def as_range(low: float, high: float) -> str:
    """A `value_range` that holds both values, rounded outwards to a few digits, as TOML."""
    down = decimal.Context(prec=6, rounding=decimal.ROUND_FLOOR).create_decimal_from_float(low)
    up = decimal.Context(prec=6, rounding=decimal.ROUND_CEILING).create_decimal_from_float(
        high if high > low else low + 1
    )
    return f"[{down}, {up}]"


def _intensities(raster: Raster, value_range: ValueRange | None) -> np.ndarray:
    """What the network sees: uint8 or uint16 [height, width, 1 or 3], black at 0, white at the highest."""
    pixels = raster.pixels
    if raster.white_is_zero:
        pixels = np.subtract((1 << raster.depth) - 1, pixels, dtype=pixels.dtype)
    if raster.palette is not None:
        colors = raster.palette[np.minimum(pixels[..., 0], len(raster.palette) - 1)]
        return colors[..., :1] if _is_gray(colors) else colors
    if raster.depth < 8:
        return pixels * np.uint8(255 // ((1 << raster.depth) - 1))
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    return _sixteen_bits(pixels, value_range)


def _sixteen_bits(pixels: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    bad = int(pixels.size - np.isfinite(pixels).sum())
    if bad:
        kinds = [
            name for name, found in (("NaN", np.isnan(pixels)), ("inf", np.isinf(pixels))) if found.any()
        ]
        raise ImageError(f"{bad} pixels of {' and '.join(kinds)}", "replace them by numbers")
    low, high = float(pixels.min()), float(pixels.max())
    if value_range is None:
        kind = {"f": "floating-point", "i": "signed", "u": "unsigned"}[pixels.dtype.kind]
        raise NeedsRange(f"{pixels.dtype.itemsize * 8}-bit {kind}", low, high)
    black, white = value_range
    if low < black or high > white:
        found = f"values from {low!r} to {high!r}, outside value_range = [{black!r}, {white!r}]"
        raise ImageError(found, "widen value_range, or clip the image")
    scaled = np.empty(pixels.shape, np.uint16)
    rows = max(1, _BLOCK // pixels[0].size)
    for start in range(0, len(pixels), rows):  # in double precision, a part at a time
        part = pixels[start : start + rows].astype(np.float64)
        scaled[start : start + rows] = np.rint((part - black) * (65535 / (white - black)))
    return scaled


def _moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation on the 0..255 scale, from a histogram: exact, and in little memory."""
    values = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=np.float64)
    if pixels.dtype == np.uint8:  # Pillow's is four times as fast as NumPy's
        rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
        counts = np.array(PILImage.fromarray(rows).histogram(), np.int64)
    else:
        flat = pixels.reshape(-1)
        counts = np.zeros(len(values), np.int64)
        for start in range(0, flat.size, _BLOCK):
            counts += np.bincount(flat[start : start + _BLOCK], minlength=len(values))
    mean = counts @ values / pixels.size
    variance = counts @ (values - mean) ** 2 / pixels.size
    scale = 1 if pixels.dtype == np.uint8 else DEPTH_SCALE
    return float(mean / scale), float(np.sqrt(variance) / scale)


def _is_gray(color: np.ndarray) -> bool:
    return bool((color[..., 0] == color[..., 1]).all() and (color[..., 1] == color[..., 2]).all())
