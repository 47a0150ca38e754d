"""Decodes image files to their stored values, and refuses damaged files.

Decoders tolerate damage, each another kind. Here every checksum, end marker and size of a strip is tested,
and a header that promises more pixels than its file can hold is refused before memory is allocated for them.
"""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin
from PIL import Image as PILImage

from unet.images import tiff
from unet.images.memory import LARGE_FILE
from unet.images.raster import (
    ImageError,
    Raster,
    damaged,
    is_turned,
    opened,
    require_room,
    require_size,
    upright,
)

_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
# Plugins by signature instead of PIL.Image.open: that one warns or raises above a process-wide number of
# pixels, tries some 40 formats, and turns the JPEGs of stereo cameras into a multi-page format.
_PLUGINS: dict[bytes, type[ImageFile.ImageFile]] = {
    _PNG: PngImagePlugin.PngImageFile,
    _JPEG: JpegImagePlugin.JpegImageFile,
    _BMP: BmpImagePlugin.BmpImageFile,
}
_ORIENTATION = 0x0112  # EXIF tag
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # excludes stuffing, fill and restart
_JPEG_END, _JPEG_SCAN, _JPEG_SEQUENTIAL = 0xD9, 0xDA, {0xC0, 0xC1}
_NO_CODE = b"\0" + b"\xfe" * 15  # starts with 0, since any other byte after a byte 0xff would be a marker
_JPEG_SEGMENTS = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}
_MOST_SCANS = 100  # of a JPEG; encoders write about ten
_USUAL_SCANS = 20  # of a JPEG of any size
_MOST_SCANNED = 10**9  # pixels of a JPEG of more scans, times its scans: each goes over all of them
_MOST_SPARE = 1 << 16  # bytes of the image data of a PNG beyond twice its pixels
_DEFLATE_RATIO = 1032  # largest number of bytes that deflate can pack into one byte
_HEADER_LOCK = threading.Lock()


def read_file(path: str | Path) -> bytes:
    """Content of a file; raises `ImageError` if the file cannot be read."""
    with opened(path) as file:
        return file.read()


def read_raster(source: str | Path | bytes, page: int, max_pixels: int) -> Raster:
    """Reads one page of a file completely.

    Args:
        source: path or content of a file. Of a path to a multi-page TIFF, only the wanted page is read.
        page: number of the page from 0; only TIFF files have more than one page.
        max_pixels: images with more pixels are refused before they are decoded.

    Raises:
        ImageError: the file cannot be read, or is damaged.
    """
    if _head(source).startswith(tiff.SIGNATURES):
        return tiff.read_tiff(source, page, max_pixels)
    if not isinstance(source, bytes):
        if Path(source).stat().st_size > LARGE_FILE:
            with Path(source).open("rb") as file:
                _open(file, _head(source), max_pixels)
        source = read_file(source)
    return _read_with_pillow(source, max_pixels)


def count_pages(source: str | Path | bytes) -> int:
    """Number of images of a TIFF without thumbnails; 1 for other files. Reads headers alone.

    Pages that are channels of the same image count once.
    """
    if not _head(source).startswith(tiff.SIGNATURES):
        return 1
    return tiff.count_tiff_pages(source)


def pages_per_image(source: str | Path | bytes) -> int:
    """Number of stored pages that are the channels of one image of a TIFF; 1 for other files."""
    return tiff.count_channel_pages(source) if _head(source).startswith(tiff.SIGNATURES) else 1


def _head(source: str | Path | bytes) -> bytes:
    with opened(source) as file:
        head = file.read(64)
    if not head:
        raise ImageError("an empty file (0 bytes)", "copy or export it again")
    if head.startswith(b"version https://git-lfs"):
        raise ImageError("a Git LFS pointer, not the image", "run git lfs pull")
    if not head.startswith((*_PLUGINS, *tiff.SIGNATURES)):
        found = f"not a PNG, JPEG, TIFF or BMP file (it starts with {head[:8]!r})"
        raise ImageError(found, "convert it to PNG or TIFF")
    return head


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silences Pillow, which warns about odd metadata: that does not concern the pixels."""
    # Warning filters belong to the process: without the lock, two threads could leave them changed.
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(file: Any, head: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Parses the header of a PNG, JPEG or BMP file."""
    plugin = next(p for signature, p in _PLUGINS.items() if head.startswith(signature))
    with _no_warnings():
        try:
            image = plugin(file)
        except Exception as error:  # on damaged bytes the plugins raise nearly anything
            raise damaged(error) from error
    require_size(image.width, image.height, max_pixels)
    return image


def _read_with_pillow(data: bytes, max_pixels: int) -> Raster:
    image = _open(io.BytesIO(data), data, max_pixels)
    chunks: dict[bytes, bytes] = {}
    kind, depth, palette = str(image.format), 8, None
    if kind == "PNG":
        chunks, packed = _png_chunks(data)
        depth, color_type = struct.unpack(">2B", chunks[b"IHDR"][8:10])
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color_type, 1)
        size = image.height * (image.width * channels * depth // 8)
        require_room(size, packed * _DEFLATE_RATIO + 1000)
        if packed > 2 * size + _MOST_SPARE:  # libpng would inflate whatever follows the pixels, and drop it
            raise ImageError("more image data than its size", "it is damaged or made to harm: save it again")
    elif kind == "JPEG":
        require_room(image.width * image.height // 64, len(data) * 8)  # a bit for each block of 8 x 8
        image = _open(io.BytesIO(_without_end_of_jpeg(data, image.width * image.height)), data, max_pixels)
    orientation = _orientation(image, chunks)
    turned = is_turned(orientation)
    canonical = not turned and kind == "JPEG" and image.mode in ("L", "RGB")
    try:
        if kind == "PNG":
            canonical = depth >= 8 and color_type in (0, 2) and not turned and b"tRNS" not in chunks
        # Pillow drops the low bytes of 16-bit colours, and blocks other threads more often.
        if kind == "PNG" and depth >= 8 and color_type != 3:
            pixels = imagecodecs.png_decode(data)
            pixels = pixels.reshape(*pixels.shape[:2], -1)
        else:
            image.load()
            if image.mode in ("P", "PA"):
                palette = np.asarray(image.convert("RGBA").palette or _palette(image), np.uint8)
                pixels = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
            elif image.mode == "1":
                pixels, depth = np.asarray(image).astype(np.uint8), 1
            elif image.mode in ("L", "LA", "RGB", "RGBA", "RGBX"):
                pixels = np.asarray(image)
                if depth < 8 and palette is None:
                    pixels = pixels // (255 // ((1 << depth) - 1))  # Pillow has scaled them to 0..255
            else:  # CMYK, YCbCr
                pixels = np.asarray(image.convert("RGB"))
            pixels = pixels.reshape(*pixels.shape[:2], -1)
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        raise damaged(error) from error
    pixels = upright(_without_alpha(pixels), orientation)
    depth = depth if palette is None else 8
    return Raster(pixels, depth, palette, kind, data if canonical else None, turned=turned)


def _palette(image: PILImage.Image) -> np.ndarray:
    colors = image.getpalette("RGB") or []
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors) // 3] = np.reshape(colors, (-1, 3))
    return palette


def _without_alpha(pixels: np.ndarray) -> np.ndarray:
    """Drops the alpha channel: [H, W, 1 to 4] -> [H, W, 1 or 3]."""
    return pixels[..., : 1 if pixels.shape[-1] < 3 else 3]


def _orientation(image: ImageFile.ImageFile, chunks: Mapping[bytes, bytes]) -> object:
    try:
        block = image.info.get("exif")
        if image.format == "PNG":
            block = b"Exif\0\0" + chunks[b"eXIf"] if b"eXIf" in chunks else None
        if block is None:
            return None
        # getexif() would decode a whole PNG, and take an orientation of XMP, which no exported model reads.
        exif = PILImage.Exif()
        with _no_warnings():
            exif.load(block)
            return exif.get(_ORIENTATION)
    except Exception as error:  # a broken EXIF block could hide a rotation
        raise damaged(error) from error


def _png_chunks(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """Chunks of a PNG without pixel data, and the size of its pixel data in bytes; tests all checksums."""
    chunks: dict[bytes, bytes] = {}
    view, at, packed = memoryview(data), len(_PNG), 0
    while b"IEND" not in chunks:
        if at + 12 > len(data):
            raise damaged("the end is missing")
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data) or view[end - 4 : end] != struct.pack(">I", zlib.crc32(view[at + 4 : end - 4])):
            raise damaged(f"checksum of {name!r}" if end <= len(data) else "the end is missing")
        packed += length if name == b"IDAT" else 0
        chunks[name] = b"" if name == b"IDAT" else data[at + 8 : end - 4]
        at = end
    if len(chunks.get(b"IHDR", b"")) != 13:
        raise damaged("no header")
    return chunks, packed


def _without_end_of_jpeg(data: bytes, pixels: int) -> bytes:
    """Replaces the end marker of a JPEG, so that Pillow fails to read a file with missing pixels.

    Pillow accepts a file without an end marker, TensorFlow refuses it: so the marker is required here. If
    pixels before the marker are missing, both decoders silently fill them. So a few bytes without meaning
    replace the marker: a complete image does not need them, a truncated image needs more. A progressive image
    (or one of several scans) is decoded only at its end marker, and is left unchanged.

    Args:
        data: content of the file.
        pixels: number of its pixels, which bounds the number of its scans.
    """
    at, kinds = 2, list[int]()
    while marker := _JPEG_MARKER.search(data, at):
        kind = marker[0][1]
        if kind == _JPEG_END:
            sequential = not _JPEG_SEQUENTIAL.isdisjoint(kinds) and kinds.count(_JPEG_SCAN) == 1
            return data[: marker.start()] + _NO_CODE if sequential else data
        if kind not in _JPEG_SEGMENTS:
            raise damaged(f"unknown marker {kind:02x}")
        kinds.append(kind)
        if kind == _JPEG_SCAN and kinds.count(kind) > _MOST_SCANS:  # each is decoded over all pixels
            raise ImageError(f"a JPEG of more than {_MOST_SCANS} scans", "save it again as a baseline JPEG")
        if (scans := kinds.count(_JPEG_SCAN)) > _USUAL_SCANS and scans * pixels > _MOST_SCANNED:
            found = f"a JPEG of more than {_USUAL_SCANS} scans over {pixels} pixels"
            raise ImageError(found, "save it again as a baseline JPEG")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    raise damaged("the end is missing")
