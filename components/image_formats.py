"""From image files to the values that they store: which formats are read, and what is refused as damaged.

Decoders forgive a lot, each something else. Here every checksum, end marker and size of a strip is tested,
and a header that promises more pixels than its file can hold is refused before memory is taken for them.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL import Image as PILImage

from components.errors import BadInput

LARGE = 32 << 20  # bytes of a file from which on its header is looked at before the rest is read
_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
# Plugins by signature instead of PIL.Image.open: that one warns or raises above a process-wide number of
# pixels, tries some 40 formats, and turns the JPEGs of stereo cameras into a multi-page format.
_PLUGINS: dict[bytes, type[ImageFile.ImageFile]] = {
    _PNG: PngImagePlugin.PngImageFile,
    _JPEG: JpegImagePlugin.JpegImageFile,
    _BMP: BmpImagePlugin.BmpImageFile,
}
_ORIENTATION = 0x0112  # EXIF and TIFF tag
_FAX = {2, 3, 4}  # TIFF compressions of scanners, which tifffile leaves to others
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # not stuffing, fill or restart
_JPEG_END = 0xD9
_JPEG_SEGMENTS = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}
_DEFLATE_RATIO = 1032  # the most that deflate can pack into a byte
_LZW_RATIO = 4096  # and a bound for TIFF's other lossless compressions
_HEADER_LOCK = threading.Lock()
# What it would log about odd files is raised here, or does not concern the pixels.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class ImageError(BadInput):
    """A file that cannot be used: what was found, and what to do about it. The caller adds the path."""

    def __init__(self, found: str, advice: str):
        """Args: found: what the file holds; advice: what the user can do. Neither ends in a full stop."""
        super().__init__(found, advice)
        self.found, self.advice = found, advice

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


@dataclass(frozen=True)
class Raster:
    """The values of one page of a file, upright, as they are stored; alpha is dropped.

    Attributes:
        pixels: [H, W, 1 or 3]; of fewer than 8 bits as uint8 from 0 to 2**depth - 1.
        depth: bits of a value.
        palette: uint8 [entries, 3], red, green and blue of each index; None where pixels are no indices.
        format: PNG, JPEG, BMP or TIFF.
        canonical: the bytes of the file, where TensorFlow's decoders read the same pixels from them.
    """

    pixels: np.ndarray
    depth: int
    palette: np.ndarray | None
    format: str
    canonical: bytes | None


def read_file(path: str | Path) -> bytes:
    """Content of a file; raises `ImageError` if there is none."""
    if Path(path).is_symlink() and not Path(path).exists():
        raise ImageError("a link to a file that does not exist", "restore that file, or remove the link")
    with _readable():
        return Path(path).read_bytes()


def read_raster(source: str | Path | bytes, page: int, max_pixels: int) -> Raster:
    """Reads one page of a file completely.

    Args:
        source: path or content. Of a multi-page TIFF only that page is read, if it is a path.
        page: from 0; others than the first exist in TIFF alone.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: the file cannot be read, or is damaged.
    """
    if _head(source).startswith(_TIFF):
        return _read_tiff(source, page, max_pixels)
    if not isinstance(source, bytes):
        if Path(source).stat().st_size > LARGE:
            with Path(source).open("rb") as file:
                _open(file, _head(source), max_pixels)
        source = read_file(source)
    return _read_with_pillow(source, max_pixels)


def count_pages(source: str | Path | bytes) -> int:
    """Pages of a TIFF, thumbnails not counted; 1 for other files. Reads headers alone."""
    if not _head(source).startswith(_TIFF):
        return 1
    with _tiff(source) as file:
        return len(_pages(file))


def damaged(detail: object) -> ImageError:
    """What is said of a file that breaks off or contradicts itself."""
    return ImageError(f"a damaged or truncated file ({detail})", "copy or export it again")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise ImageError(found, "check the path and its permissions") from error


def _head(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        head = source[:64]
    else:
        with _readable(), Path(source).open("rb") as file:
            head = file.read(64)
    if not head:
        raise ImageError("an empty file (0 bytes)", "copy or export it again")
    if head.startswith(b"version https://git-lfs"):
        raise ImageError("a Git LFS pointer, not the image", "run git lfs pull")
    if not head.startswith((*_PLUGINS, *_TIFF)):
        found = f"not a PNG, JPEG, TIFF or BMP file (it starts with {head[:8]!r})"
        raise ImageError(found, "convert it to PNG or TIFF")
    return head


def _open(file: Any, head: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Parses the header of a file that is no TIFF."""
    plugin = next(p for signature, p in _PLUGINS.items() if head.startswith(signature))
    # Pillow warns about odd metadata, which says nothing about the pixels. Filters of warnings belong to
    # the process: without the lock, two threads could leave them changed.
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = plugin(file)
        except Exception as error:  # on damaged bytes the plugins raise nearly anything
            raise damaged(error) from error
    _require_size(image.width, image.height, max_pixels)
    return image


def _require_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        found = f"{width} x {height} pixels, more than max_pixels = {max_pixels}"
        raise ImageError(found, "cut it into parts, or raise max_pixels with --set")


def _require_room(pixels_or_bytes: int, most: float) -> None:
    if pixels_or_bytes > most:
        raise damaged("the header promises more pixels than the file can hold")


def _read_with_pillow(data: bytes, max_pixels: int) -> Raster:
    image = _open(io.BytesIO(data), data, max_pixels)
    chunks: dict[bytes, bytes] = {}
    kind, depth, palette = str(image.format), 8, None
    if kind == "PNG":
        chunks, packed = _png_chunks(data)
        depth, colour_type = struct.unpack(">2B", chunks[b"IHDR"][8:10])
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour_type, 1)
        _require_room(image.height * (image.width * channels * depth // 8), packed * _DEFLATE_RATIO + 1000)
    elif kind == "JPEG":
        _require_end_of_jpeg(data)
        _require_room(image.width * image.height // 64, len(data) * 8)  # a bit for each block of 8 x 8
    orientation = _orientation(image, chunks)
    upright = orientation not in range(2, 9)
    canonical = upright and kind == "JPEG" and image.mode in ("L", "RGB")
    try:
        if kind == "PNG":
            canonical = depth >= 8 and colour_type in (0, 2) and upright and b"tRNS" not in chunks
        # Pillow keeps the high bytes of 16-bit colours alone, and stops other threads more often.
        if kind == "PNG" and depth >= 8 and colour_type != 3:
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
    pixels = _upright(_without_alpha(pixels), orientation)
    return Raster(pixels, depth if palette is None else 8, palette, kind, data if canonical else None)


def _palette(image: PILImage.Image) -> np.ndarray:
    colours = image.getpalette("RGB") or []
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours) // 3] = np.reshape(colours, (-1, 3))
    return palette


def _without_alpha(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 1 to 4] -> [H, W, 1 or 3]."""
    return pixels[..., : 1 if pixels.shape[-1] < 3 else 3]


def _upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Applies the orientation of EXIF and TIFF 6.0: 1 to 8; anything else is upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _orientation(image: ImageFile.ImageFile, chunks: Mapping[bytes, bytes]) -> object:
    try:
        if image.format != "PNG":
            return image.getexif().get(_ORIENTATION)
        if b"eXIf" not in chunks:
            return None
        exif = PILImage.Exif()  # getexif() of a PNG would decode the whole image
        exif.load(b"Exif\0\0" + chunks[b"eXIf"])
        return exif.get(_ORIENTATION)
    except Exception as error:  # a broken EXIF block could hide a rotation
        raise damaged(error) from error


def _png_chunks(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """Chunks of a PNG but its pixels, and the bytes of those. All checksums are tested: decoders differ."""
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


def _require_end_of_jpeg(data: bytes) -> None:
    """Walks over the markers: Pillow does not miss the last ones, TensorFlow refuses the file without."""
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        kind = marker[0][1]
        if kind == _JPEG_END:
            return
        if kind not in _JPEG_SEGMENTS:
            raise damaged(f"unknown marker {kind:02x}")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    raise damaged("the end is missing")


@contextmanager
def _tiff(source: str | Path | bytes) -> Iterator[tifffile.TiffFile]:
    with _readable(), io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        try:
            tiff = tifffile.TiffFile(file)
        except Exception as error:
            raise damaged(error) from error
        yield tiff


def _pages(file: tifffile.TiffFile) -> list[Any]:
    """Pages that are images: neither thumbnails nor the smaller levels of a pyramid."""
    try:
        pages = [page for page in file.pages if not page.is_reduced]
    except Exception as error:
        raise damaged(error) from error
    if not pages:
        raise damaged("no image in it")
    return pages


def _read_tiff(source: str | Path | bytes, page: int, max_pixels: int) -> Raster:
    with _tiff(source) as file:
        pages = _pages(file)
        if page >= len(pages):
            raise damaged(f"page {page} of {len(pages)}")
        wanted = pages[page].aspage() if hasattr(pages[page], "aspage") else pages[page]
        _require_size(wanted.imagewidth, wanted.imagelength, max_pixels)
        _require_strips(wanted, file.filehandle.size)
        try:
            fax = int(wanted.compression) in _FAX
            pixels = _as_image(_read_fax(source, wanted) if fax else wanted.asarray(), wanted)
        except ImageError:
            raise
        except Exception as error:  # on damaged bytes the decoders raise nearly anything
            raise damaged(error) from error
        palette = None
        if int(wanted.photometric) == 3 and wanted.colormap is not None:
            palette = (wanted.colormap.T >> 8).astype(np.uint8)
        orientation = wanted.tags.valueof(_ORIENTATION)
        return Raster(_upright(pixels, orientation), int(wanted.bitspersample), palette, "TIFF", None)


def _require_strips(page: Any, size: int) -> None:
    """Each strip or tile must lie in the file, and be large enough for its part of the pixels."""
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = int(np.prod(page.chunked)) if page.chunked else 0
    if len(offsets) < expected or len(counts) < expected or not expected:
        raise damaged(f"{len(offsets)} of {expected} strips")
    if any(not o or not c or o + c > size for o, c in zip(offsets, counts, strict=False)):
        raise damaged("the end is missing")
    ratio = 1 if int(page.compression) == 1 else _LZW_RATIO
    bits = page.imagewidth * page.imagelength * page.samplesperpixel * page.bitspersample
    _require_room(bits // 8, sum(counts) * ratio)


def _read_fax(source: str | Path | bytes, page: Any) -> np.ndarray:
    with TiffImagePlugin.TiffImageFile(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        image.seek(page.index)
        orientation = image.getexif().get(_ORIENTATION)
        if orientation not in (None, 1):  # Pillow turns it by itself, and would be turned again
            raise ImageError("a fax that is turned", "save it upright")
        bits = np.asarray(image.convert("1")).astype(np.uint8)
        return 1 - bits if int(page.photometric) == 0 else bits  # as stored


def _as_image(pixels: np.ndarray, page: Any) -> np.ndarray:
    """What tifffile decoded as [H, W, 1 or 3], with black at 0."""
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    if page.imagedepth > 1:
        raise ImageError("a TIFF of voxels", "save each slice as a page of its own")
    if samples > 1 and int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if np.iscomplexobj(pixels):
        raise ImageError("a TIFF of complex values", "save the magnitude")
    if photometric == 5:  # CMYK
        if pixels.dtype != np.uint8 or pixels.shape[-1] < 4:
            raise ImageError("a CMYK TIFF of more than 8 bits", "save it as RGB")
        inks = np.ascontiguousarray(pixels[..., :4])
        return np.asarray(PILImage.fromarray(inks, "CMYK").convert("RGB"))
    if photometric not in (0, 1, 2, 3, 6):
        raise ImageError(f"a TIFF of {page.photometric.name} colours", "save it as RGB or grey")
    if photometric == 0 and np.issubdtype(pixels.dtype, np.unsignedinteger):  # white is 0
        pixels = ((1 << page.bitspersample) - 1 - pixels.astype(np.int64)).astype(pixels.dtype)
    colours = 3 if photometric in (2, 6) else 1
    if samples > colours + 1 or pixels.shape[-1] < colours:
        raise ImageError(f"a TIFF of {samples} channels", "keep one channel, or three as RGB")
    return pixels[..., :colours]
