"""The only reader of image files: what comes in varies, what flows on is canonical.

An image becomes *canonical bytes*, which TensorFlow's decoders and this module read alike: grey or RGB PNG
of 8 or 16 bits, or an upright grey or RGB JPEG. Files that already are go through byte for byte; anything
else is re-encoded once, without loss. What cannot be read honestly is refused with advice.
"""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL import Image as PILImage

from components.errors import BadInput

MAX_PIXELS = 10**9
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Plugins by signature instead of PIL.Image.open: that one warns or raises above a process-wide number of
# pixels, tries some 40 formats, and turns the JPEGs of stereo cameras into a multi-page format.
_PLUGINS: dict[bytes, type[ImageFile.ImageFile]] = {
    _PNG: PngImagePlugin.PngImageFile,
    _JPEG: JpegImagePlugin.JpegImageFile,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,  # BigTIFF
    b"MM\0+": TiffImagePlugin.TiffImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_ORIENTATION = 0x0112  # EXIF and TIFF tag
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # not stuffing, fill or restart
_JPEG_END = 0xD9
_JPEG_SEGMENTS = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}
_HEADER_LOCK = threading.Lock()


class ImageError(BadInput):
    """A file that cannot be used: what was found, and what to do about it. The caller adds the path."""

    def __init__(self, found: str, advice: str):
        """Args: found: what the file holds; advice: what the user can do. Neither ends in a full stop."""
        super().__init__(found, advice)
        self.found, self.advice = found, advice

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


@dataclass(frozen=True)
class Image:
    """Canonical encoded bytes and scalars of one image.

    `mean` and `stddev` are over all pixels and channels on the 0..255 scale at any bit depth: those of a
    16-bit file are divided by 257, so that a statistic means the same in a mixed set. `height` and `width`
    are in pixels, `channels` is 1 or 3, `bit_depth` is 8 or 16.
    """

    data: bytes
    height: int
    width: int
    channels: int
    bit_depth: int
    mean: float
    stddev: float


@dataclass(frozen=True)
class _Header:
    """An opened file before its pixels are decoded; `depth` counts the bits of a sample."""

    data: bytes
    file: ImageFile.ImageFile
    format: str
    depth: int
    upright: bool
    canonical: bool


def read_file(path: str | Path) -> bytes:
    """Content of a file; raises `ImageError` if there is none."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise ImageError(found, "check the path and its permissions") from error


def read_image(source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Reads an image file completely.

    Args:
        source: path or content of a PNG, JPEG, single-page TIFF or BMP file.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        ImageError: the file cannot be read, is damaged, or cannot be represented without loss.
    """
    data = source if isinstance(source, bytes) else read_file(source)
    header = _open(data, max_pixels)
    pixels = _pixels(header)
    mean, stddev = _moments(pixels)
    height, width, channels = pixels.shape
    canonical = data if header.canonical else encode_png(pixels)
    return Image(canonical, height, width, channels, pixels.dtype.itemsize * 8, mean, stddev)


def read_mask(
    source: str | Path | bytes, classes: Mapping[str, int], *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Reads a mask as class indices, whatever values its pixels have.

    Grey values of 8 or 16 bits are taken as stored, palette images by index, colour only where the channels
    are equal. Values of fewer than 8 bits count as stored if all class values fit into them, else
    scaled to 0..255: a 1-bit mask serves {0, 1} and {0, 255}.

    Args:
        source: path or content of a file as in `read_image`.
        classes: value in the file of each class; the position of a class is its index.
        max_pixels: larger masks are refused before they are decoded.

    Returns:
        uint8 [height, width].

    Raises:
        ImageError: as in `read_image`, or the mask holds values of no class.
    """
    header = _open(source if isinstance(source, bytes) else read_file(source), max_pixels)
    values = _mask_values(header, classes)
    nothing = np.uint8(255)
    index_of = np.full(1 << 16, nothing)
    for index, value in enumerate(classes.values()):
        index_of[value] = index
    indices: np.ndarray = index_of[values]
    if (indices == nothing).any():
        raise _undeclared(values, classes, header.format)
    return indices


def decode(data: bytes) -> np.ndarray:
    """Decodes canonical bytes: uint8 or uint16 [height, width, channels], equal to TensorFlow's decoders."""
    header = _open(data, MAX_PIXELS)
    return _pixels(header)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 or uint16 [height, width] or [height, width, 1], or uint8 [height, width, 3], as PNG.

    Raises:
        ValueError: another shape or type; Pillow writes no 16-bit colour.
    """
    grey = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    colour = grey.ndim == 3 and grey.shape[-1] == 3 and grey.dtype == np.uint8
    if not colour and not (grey.ndim == 2 and grey.dtype in (np.uint8, np.uint16)):
        raise ValueError(f"cannot encode {pixels.dtype} {pixels.shape} as PNG")
    out = io.BytesIO()
    # The fastest level: a tenth of the time of the default one for files a few per cent larger.
    PILImage.fromarray(np.ascontiguousarray(grey)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def to_grey(rgb: np.ndarray) -> np.ndarray:
    """Luma of uint8 or uint16 [..., 3] -> [...], in integers, so that a TensorFlow graph can do the same."""
    red, green, blue = (rgb[..., i].astype(np.int32) for i in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(rgb.dtype)


def _damaged(detail: object) -> ImageError:
    return ImageError(f"a damaged or truncated file ({detail})", "copy or export it again")


def _open(data: bytes, max_pixels: int) -> _Header:
    """Parses the header of a file and refuses what cannot be decoded honestly."""
    if not data:
        raise ImageError("an empty file (0 bytes)", "copy or export it again")
    plugin = next((p for signature, p in _PLUGINS.items() if data.startswith(signature)), None)
    if plugin is None:
        if data.startswith(b"version https://git-lfs"):
            raise ImageError("a Git LFS pointer, not the image", "run git lfs pull")
        raise ImageError(
            f"not a PNG, JPEG, TIFF or BMP file (it starts with {data[:8]!r})", "convert it to PNG or TIFF"
        )
    chunks = _png_chunks(data) if data.startswith(_PNG) else {}
    if data.startswith(_JPEG):
        _require_end_of_jpeg(data)
    # Pillow warns about odd metadata, which says nothing about the pixels. Filters of warnings belong to
    # the process: without the lock, two threads could leave them changed.
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = plugin(io.BytesIO(data))
            pages = getattr(file, "n_frames", 1)
            upright = _orientation(file, chunks) not in range(2, 9)
        except Exception as error:  # on damaged bytes the plugins raise nearly anything
            raise _damaged(error) from error
    if file.width * file.height > max_pixels:
        raise ImageError(
            f"{file.width} x {file.height} pixels, more than max_pixels = {max_pixels}",
            "cut it into parts, or raise max_pixels with --set",
        )
    if pages > 1:
        raise ImageError(f"{pages} pages or frames in one file", "save each as a file of its own")
    kind = str(file.format)
    if kind == "PNG":
        depth, colour_type = struct.unpack(">2B", chunks[b"IHDR"][8:10])
        canonical = depth >= 8 and colour_type in (0, 2) and upright and b"tRNS" not in chunks
        if depth == 16 and colour_type != 0 and not canonical:
            raise ImageError("a 16-bit PNG with alpha or rotation", "save it as upright 16-bit grey or RGB")
    elif kind == "TIFF":
        depth, canonical = _tiff_depth(file), False
    else:
        depth, canonical = 8, kind == "JPEG" and file.mode in ("L", "RGB") and upright
    return _Header(data, file, kind, depth, upright, canonical)


def _orientation(file: ImageFile.ImageFile, chunks: Mapping[bytes, bytes]) -> object:
    if file.format != "PNG":
        return file.getexif().get(_ORIENTATION)
    exif = PILImage.Exif()  # getexif() of a PNG would decode the whole image
    exif.load(b"Exif\0\0" + chunks.get(b"eXIf", b""))
    return exif.get(_ORIENTATION)


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Chunks of a PNG other than its pixels. All checksums are tested: decoders differ in which they do."""
    chunks: dict[bytes, bytes] = {}
    view, at = memoryview(data), len(_PNG)
    while b"IEND" not in chunks:
        if at + 12 > len(data):
            raise _damaged("the end is missing")
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data) or view[end - 4 : end] != struct.pack(">I", zlib.crc32(view[at + 4 : end - 4])):
            raise _damaged(f"checksum of {name!r}" if end <= len(data) else "the end is missing")
        chunks[name] = b"" if name == b"IDAT" else data[at + 8 : end - 4]
        at = end
    if len(chunks.get(b"IHDR", b"")) != 13:
        raise _damaged("no header")
    return chunks


def _require_end_of_jpeg(data: bytes) -> None:
    """Walks over the markers: Pillow does not miss the last ones, TensorFlow refuses the file without."""
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        kind = marker[0][1]
        if kind == _JPEG_END:
            return
        if kind not in _JPEG_SEGMENTS:
            raise _damaged(f"unknown marker {kind:02x}")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    raise _damaged("the end is missing")


def _tiff_depth(file: ImageFile.ImageFile) -> int:
    tags = file.tag_v2  # type: ignore[attr-defined]
    bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    formats = tags.get(_SAMPLE_FORMAT, (1,))
    if bits > 16 or any(f not in (1, 4) for f in formats):
        kind = "floating-point" if 3 in formats else "signed" if 2 in formats else "unsigned"
        raise ImageError(f"a TIFF of {bits}-bit {kind} values", "scale it to 8 or 16 unsigned bits")
    if bits > 8 and (not file.mode.startswith("I;16") or tags.get(_PHOTOMETRIC) == 0):
        # Pillow cuts 16-bit colour to 8 bits without a word, and leaves inverted 16-bit grey inverted.
        raise ImageError(f"a {bits}-bit TIFF that is not plain grey", "save it as 8-bit RGB or 16-bit grey")
    return int(bits)


def _load(header: _Header) -> PILImage.Image:
    """Decodes the pixels and turns them upright."""
    try:
        header.file.load()
        # Pillow turns a TIFF by itself when it is loaded, and 10.0 still shows the tag after that.
        upright = header.upright or header.format == "TIFF"
        return header.file if upright else ImageOps.exif_transpose(header.file)
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        raise _damaged(error) from error


def _pixels(header: _Header) -> np.ndarray:
    """Pixels without alpha: uint8 or uint16 [height, width, 1 or 3]."""
    image = _load(header)
    if image.mode == "1":
        pixels = np.asarray(image.convert("L"))
    elif image.mode.startswith("I"):  # 16-bit grey is mode I in older versions of Pillow
        pixels = np.asarray(image).astype(np.uint16)
    elif image.mode == "RGB" and header.depth == 16:
        pixels = np.asarray(image) * np.uint16(256) + _low_bytes(header)
    elif image.mode in ("P", "PA"):
        colour = np.asarray(image.convert("RGBA"))[..., :3]
        pixels = colour[..., 0] if _is_grey(colour) else colour
    elif image.mode in ("L", "LA", "RGB", "RGBA", "RGBX"):
        pixels = np.asarray(image)
        pixels = pixels if pixels.ndim == 2 else pixels[..., : 1 if image.mode == "LA" else 3]
    else:  # CMYK, YCbCr
        pixels = np.asarray(image.convert("RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _low_bytes(header: _Header) -> np.ndarray:
    """Low bytes of a 16-bit RGB PNG: Pillow keeps the high ones alone, so it is told the other byte order."""
    twin = PngImagePlugin.PngImageFile(io.BytesIO(header.data))
    codec, extents, offset, _ = twin.tile[0]
    twin.tile = [(codec, extents, offset, "RGB;16L")]  # type: ignore[list-item]
    return np.asarray(twin)


def _moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation on the 0..255 scale, from a histogram: exact, and in little memory."""
    values = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=np.float64)
    flat = pixels.reshape(-1)
    counts = np.zeros(len(values), np.int64)
    for start in range(0, flat.size, 1 << 20):
        counts += np.bincount(flat[start : start + (1 << 20)], minlength=len(values))
    mean = counts @ values / flat.size
    variance = counts @ (values - mean) ** 2 / flat.size
    scale = 1 if pixels.dtype == np.uint8 else 257
    return float(mean / scale), float(np.sqrt(variance) / scale)


def _is_grey(colour: np.ndarray) -> bool:
    return bool((colour[..., 0] == colour[..., 1]).all() and (colour[..., 1] == colour[..., 2]).all())


def _mask_values(header: _Header, classes: Mapping[str, int]) -> np.ndarray:
    """The values of a mask that its classes are compared with: uint8 or uint16 [height, width]."""
    if header.file.mode == "P":
        indices = np.asarray(_load(header))
        if np.isin(np.unique(indices), list(classes.values())).all():
            return indices
        pixels = _pixels(header)  # a PNG optimiser turns a few grey values into a palette: try those
        return pixels[..., 0] if pixels.shape[-1] == 1 else indices
    pixels = _pixels(header)
    if pixels.shape[-1] == 3 and not _is_grey(pixels):
        raise ImageError("a mask in colour", "save it in grey, each pixel holding the value of its class")
    values = pixels[..., 0]
    depth = 1 if header.file.mode == "1" else header.depth
    if depth < 8 and max(classes.values()) < 1 << depth:
        values = values // (255 // ((1 << depth) - 1))  # Pillow has scaled them to 0..255
    return values


def _undeclared(values: np.ndarray, classes: Mapping[str, int], kind: str) -> ImageError:
    found, counts = np.unique(values, return_counts=True)
    wrong = [
        (v, n) for v, n in zip(found.tolist(), counts.tolist(), strict=True) if v not in classes.values()
    ]
    text = ", ".join(f"{v} ({n} pixels)" for v, n in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
    declared = ", ".join(f"{name}={value}" for name, value in classes.items())
    # A name for every value found or declared, so that whoever types it is not told the same again.
    name_of = {value: name for name, value in classes.items()}
    values_seen = sorted({*found.tolist(), *(() if len(found) == 2 else classes.values())})
    if len(found) == 2:
        name_of = dict(zip(found.tolist(), ("background", "foreground"), strict=True))
    suggested = ", ".join(f"{name_of.get(value, f'class_{value}')}={value}" for value in values_seen[:20])
    advice = f"declare them, for example --set 'classes={{{suggested}}}'"
    if kind == "JPEG":
        advice = "save masks as PNG: JPEG changes values"
    elif len(found) > 20:
        advice = f"it may number objects, or be an image: store the class of each pixel, or {advice}"
    return ImageError(f"pixel values of no class ({declared}): {text}", advice)
