"""The reader of images: converts files of all supported formats to canonical bytes.

*Canonical bytes* are read alike by TensorFlow's decoders and this module: a grey or RGB PNG of 8 or 16 bits,
or an upright grey or RGB JPEG; images of other channels are grey PNGs, see `unet.images.stacking`. Files of
this form are kept byte for byte; all others are re-encoded once, without loss. An image that cannot be
represented without loss is refused with advice.
"""

from __future__ import annotations

import decimal
import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image as PILImage

from unet.images.channels import ADVICE, ChosenChannels, is_stacked
from unet.images.depth import DEPTH_SCALE
from unet.images.formats import read_raster
from unet.images.likeness import details
from unet.images.raster import ImageError, Raster
from unet.images.stacking import choose, stack, unstack

MAX_PIXELS = 10**9
_BLOCK = 1 << 20  # values that are processed at a time where copies of them are made
ValueRange = tuple[float, float]


class NeedsRange(ImageError):
    """An image whose values are not 8 or 16 unsigned bits; `low` and `high` are its extreme values."""

    def __init__(self, kind: str, low: float, high: float):
        """Args: kind: type of the values, for the message; low, high: the extreme values."""
        super().__init__(
            f"{kind} values from {low:g} to {high:g}",
            f"give black and white of all images, for example --set 'value_range={as_range(low, high)}'",
        )
        self.low, self.high = low, high


@dataclass(frozen=True)
class Image:
    """Canonical bytes and scalars of one image.

    Attributes:
        data: the canonical bytes.
        height, width: size in pixels.
        channels: 3, or 1 for grey, or the number of channels that `use_channels` chooses. Unless they are
            chosen, an image of three equal channels is grey, even if its bytes hold three.
        bit_depth: 8 or 16.
        mean, stddev: statistics of all pixels and channels on the 0..255 scale; values of 16 bits are divided
            by `DEPTH_SCALE`, so that images of both depths are comparable.
        content: a string that is equal for equal pixels, independent of the file's format and bit depth, and
            of flips and quarter turns, by which data are often multiplied before they come here.
        turned: whether the file says by an orientation that it is stored turned or mirrored.
        details: what it looks like, see `unet.images.likeness`; nearly equal for flips and quarter turns;
            empty unless asked for.
    """

    data: bytes
    height: int
    width: int
    channels: int
    bit_depth: int
    mean: float
    stddev: float
    content: str
    turned: bool = False
    details: str = ""


def read_image(
    source: str | Path | bytes,
    *,
    page: int = 0,
    max_pixels: int = MAX_PIXELS,
    value_range: ValueRange | None = None,
    use_channels: ChosenChannels | None = None,
    with_details: bool = False,
) -> Image:
    """Reads an image completely.

    Args:
        source: path or content of a PNG, JPEG, TIFF or BMP file.
        page: number of the page of a multi-page TIFF.
        max_pixels: larger images are refused before they are decoded.
        value_range: black and white of floating-point, signed and 32-bit values, which become 16 bits.
        use_channels: numbers of the channels to keep, from 1, or "all"; None: grey or RGB, and an image of
            other channels is refused.
        with_details: whether to describe its details, which only the search for near-duplicates needs.

    Raises:
        ImageError: the file cannot be read, is damaged, or cannot be represented without loss.
        NeedsRange: the image has values that require a `value_range`.
    """
    raster = read_raster(source, page, max_pixels)
    if use_channels is None and raster.separate:
        count = raster.pixels.shape[-1]
        # Python's writers call the slices of a stack channels, unless they are told otherwise.
        slices = "; if they are slices, save them as slices (axes ZYX)" if count > 4 else ""
        raise ImageError(f"a {raster.format} of {count} channels", ADVICE + slices)
    if use_channels is not None and raster.palette is None:  # first: others need not fit the range
        whole = use_channels == "all" or [*use_channels] == [*range(1, raster.pixels.shape[-1] + 1)]
        chosen = choose(raster.pixels, use_channels)
        raster = replace(raster, pixels=chosen, canonical=raster.canonical if whole else None)
    pixels = _intensities(raster, value_range)
    if use_channels is not None and raster.palette is not None:
        pixels = choose(pixels, use_channels)
    if use_channels is None and pixels.shape[-1] == 3 and _is_gray(pixels):
        pixels = np.ascontiguousarray(pixels[..., :1])
    height, width, channels = pixels.shape
    depth = pixels.dtype.itemsize * 8
    data = raster.canonical or encode_image(pixels)
    if depth == 16 and _is_widened(pixels):
        pixels = (pixels // DEPTH_SCALE).astype(np.uint8)
    mean, stddev = _moments(pixels)
    # A strong hash would take a quarter of the time of decoding. The moments are exact, so the checksum
    # matters only for images with equal histograms.
    turned = np.ascontiguousarray(_oriented(pixels))
    sides = f"{turned.shape[1]}x{turned.shape[0]}x{channels}x{turned.itemsize * 8}"
    content = f"{sides} {mean!r} {stddev!r} {zlib.crc32(turned.data):08x}"
    fine = details(turned) if with_details else ""
    return Image(data, height, width, channels, depth, mean, stddev, content, raster.turned, fine)


def _oriented(pixels: np.ndarray) -> np.ndarray:
    """A view of [H, W, C] that is the same for the image and its flips and quarter turns: wide, heavy below.

    An image of the same weight on both sides of an axis, such as a black one, is left as it is there: its
    flips may have other views.
    """
    flat = pixels.reshape(len(pixels), -1)  # [H, W C]
    rows = flat.sum(1, dtype=np.int64)  # [H]
    columns = flat.sum(0, dtype=np.int64).reshape(pixels.shape[1:]).sum(-1)  # [W]
    # Twice the first moment about the middle: exact, and a flip changes its sign alone.
    down, right = (int(sums @ np.arange(1 - len(sums), len(sums), 2)) for sums in (rows, columns))
    view = pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    if (len(rows), abs(down)) > (len(columns), abs(right)):
        return view.swapaxes(0, 1)
    return view


def decode(data: bytes, channels: int = 1) -> np.ndarray:
    """Decodes canonical bytes: uint8 or uint16 [height, width, channels], equal to TensorFlow's decoders.

    Args:
        data: the canonical bytes.
        channels: number of channels of the image, which its bytes tell unless it is 1 or 3.
    """
    pixels = _intensities(read_raster(data, 0, MAX_PIXELS * channels), None)
    return unstack(pixels[..., 0], channels) if is_stacked(channels) else pixels


def encode_image(pixels: np.ndarray) -> bytes:
    """Encodes uint8 or uint16 [height, width, channels] as canonical bytes."""
    return encode_png(stack(pixels) if is_stacked(pixels.shape[-1]) else pixels)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 or uint16 [height, width] or [height, width, 1 or 3] as PNG.

    Raises:
        ValueError: the array has another shape or type.
    """
    gray = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    color = gray.ndim == 3 and gray.shape[-1] == 3
    if gray.dtype not in (np.uint8, np.uint16) or not (gray.ndim == 2 or color):
        raise ValueError(f"cannot encode {pixels.dtype} {pixels.shape} as PNG")
    gray = np.ascontiguousarray(gray)
    # The fastest level takes a tenth of the default level's time, for files a few per cent larger.
    if color and gray.dtype == np.uint16:  # Pillow does not write 16-bit colours
        return bytes(imagecodecs.png_encode(gray.copy(), level=1))  # a copy has the strides that it requires
    out = io.BytesIO()
    PILImage.fromarray(gray).save(out, "PNG", compress_level=1)
    return out.getvalue()


def to_grayscale(rgb: np.ndarray) -> np.ndarray:
    """Luma, uint8 or uint16 [..., 3] -> [...], computed in integers as in the TensorFlow graph."""
    red, green, blue = (rgb[..., i].astype(np.int32) for i in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(rgb.dtype)


def as_range(low: float, high: float) -> str:
    """A `value_range` in TOML that contains both values, rounded outwards to a few digits."""
    down = decimal.Context(prec=6, rounding=decimal.ROUND_FLOOR).create_decimal_from_float(low)
    up = decimal.Context(prec=6, rounding=decimal.ROUND_CEILING).create_decimal_from_float(
        high if high > low else low + 1
    )
    return f"[{down}, {up}]"


def _intensities(raster: Raster, value_range: ValueRange | None) -> np.ndarray:
    """Intensities, uint8 or uint16 [height, width, channels]: black is 0, white the highest value."""
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
    return to_sixteen_bits(pixels, value_range)


def to_sixteen_bits(pixels: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    """Scales numbers of any other type to uint16: black of the range is 0, white is 65535.

    Raises:
        ImageError: values are no numbers, or outside the range.
        NeedsRange: there is no range.
    """
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
    for start in range(0, len(pixels), rows):  # in blocks, since double precision takes much memory
        part = pixels[start : start + rows].astype(np.float64)
        scaled[start : start + rows] = np.rint((part - black) * (65535 / (white - black)))
    return scaled


def _moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation on the 0..255 scale, from a histogram, which is exact and saves memory."""
    values = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=np.float64)
    if pixels.dtype == np.uint8:  # Pillow's histogram is four times as fast as NumPy's
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


def _is_widened(pixels: np.ndarray) -> bool:
    """Whether 16-bit pixels hold 8 bits, widened; in blocks, as most images tell in the first one."""
    flat = pixels.reshape(-1)
    return not any(
        (flat[start : start + _BLOCK] % DEPTH_SCALE).any() for start in range(0, flat.size, _BLOCK)
    )


def _is_gray(color: np.ndarray) -> bool:
    return bool((color[..., 0] == color[..., 1]).all() and (color[..., 1] == color[..., 2]).all())
