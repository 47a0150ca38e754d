"""Reads pages of TIFF files.

The chain of pages is walked once for each file. A page is then read without those before it, so that the time
for a stack is proportional to its pages, and a chain that is truncated or circular is detected.

Microscopes store each channel as a page of its own. Where a file says which of its axes is that of the
channels (OME-TIFF, ImageJ and others that tifffile knows), those pages are one image; all other axes are of
pages.
"""

from __future__ import annotations

import functools
import io
import logging
import math
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image as PILImage
from PIL import TiffImagePlugin

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

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_ORIENTATION = 0x0112  # tag
_SUBFILE, _OLD_SUBFILE = 254, 255  # tags that mark thumbnails and the smaller levels of a pyramid
_TAGS = 4096  # a page with more tags is damaged
FAX = {2, 3, 4}  # compressions of scanners, which tifffile does not decode by itself
_JPEG = {6, 7, 33007, 34892}  # compressions whose decoder converts YCbCr to RGB
_ALPHA = (1, 2)  # kinds of extra samples
# Formats that say which of their axes is that of the channels; `TiffFile` has an attribute for each.
_WITH_AXES = ("ome", "imagej", "shaped", "lsm", "mmstack", "ndtiff", "fluoview", "stk", "nih", "scanimage")
# Upper bound of the bytes that a compression can pack into one byte. The others, such as Zstandard, JPEG XL
# and those of faxes, have none that helps: of a page of one color they make a few bytes, whatever its size.
_RATIO = {1: 1, **dict.fromkeys((5, 6, 7, 8, 32773, 32946), 4096)}
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_MOST_PLANES = 1000  # that an OME-XML may promise for each page; those of other files, or samples of a page
# Problems that tifffile would log are raised here as errors, or do not concern the pixels.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class _Pages:
    """The pages of a file that are images, without thumbnails.

    Attributes:
        chain: offset of each page and its position in the chain of pages.
        frames: number of consecutive images in a single page, by which ImageJ stores stacks above 4 GB.
        images: for each image the numbers of the pages, or frames, that are its channels.
    """

    chain: list[tuple[int, int]]
    frames: int
    images: list[tuple[int, ...]]


def count_tiff_pages(source: str | Path | bytes) -> int:
    """Number of images of a TIFF without thumbnails. Reads headers alone; raises `ImageError`."""
    with opened(source) as file:
        return len(_pages(source, file).images)


def count_channel_pages(source: str | Path | bytes) -> int:
    """Number of pages of a TIFF that are the channels of one image. Reads headers alone; see above."""
    with opened(source) as file:
        return max(map(len, _pages(source, file).images))


def read_tiff(source: str | Path | bytes, page: int, max_pixels: int) -> Raster:
    """Reads one image of a TIFF with all its channels; see `unet.images.formats.read_raster`."""
    with opened(source) as file:
        pages = _pages(source, file)
        if page >= len(pages.images):
            raise damaged(f"page {page} of {len(pages.images)}")
        planes = pages.images[page]
        first = _read_page(file, pages, planes[0], max_pixels, len(planes))
        if len(planes) == 1:
            return first
        rest = [_read_page(file, pages, plane, max_pixels, len(planes)) for plane in planes[1:]]
        if any((r.pixels.shape, r.pixels.dtype) != (first.pixels.shape, first.pixels.dtype) for r in rest):
            raise ImageError("channels of different sizes or types", "export them again, all alike")
        pixels = np.concatenate([raster.pixels for raster in (first, *rest)], -1)
        # The palette of a channel is the colour in which its microscope showed it, and no meaning of values.
        return replace(first, pixels=pixels, palette=None, separate=True)


def _read_page(file: BinaryIO, pages: _Pages, number: int, max_pixels: int, of: int) -> Raster:
    """Reads one page, or frame, of an image of this many pages."""
    offset, place = pages.chain[0 if pages.frames > 1 else number]
    try:
        tiff = _open(file)
        tiff.filehandle.seek(offset)
        wanted = tifffile.TiffPage(tiff, place)
    except Exception as error:  # on damaged bytes tifffile raises nearly anything
        raise damaged(error) from error
    if isinstance(wanted.bitspersample, tuple):  # times the pixels it would be that many depths
        raise ImageError("a TIFF of channels of different depths", "save it with 8 or 16 bits a channel")
    require_size(wanted.imagewidth, wanted.imagelength, max_pixels, of * int(wanted.samplesperpixel))
    require_strips(wanted, tiff.filehandle.size)
    try:
        if pages.frames > 1:
            stored = _frame(tiff, wanted, number)
        elif int(wanted.compression) in FAX:
            stored = _read_fax(file, wanted)
        else:
            stored = wanted.asarray()
        pixels, separate = _as_image(stored, wanted)
    except ImageError:
        raise
    except Exception as error:
        raise damaged(error) from error
    palette = None
    if int(wanted.photometric) == 3 and wanted.colormap is not None:
        colors = wanted.colormap.T
        # Some writers store 8 bits instead of the format's 16; libtiff recognises them in the same way.
        palette = (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)
    orientation = wanted.tags.valueof(_ORIENTATION)
    depth = int(wanted.bitspersample)
    pixels = upright(pixels, orientation)
    inverted, turned = _white_is_zero(wanted, pixels), is_turned(orientation)
    return Raster(pixels, depth, palette, "TIFF", None, inverted, separate, turned)


def _pages(source: str | Path | bytes, file: BinaryIO) -> _Pages:
    if isinstance(source, bytes):
        return _find_pages(file)
    state = os.fstat(file.fileno())
    return _known_pages(os.path.abspath(source), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=32)  # enough for the files that several threads read at the same time
def _known_pages(path: str, *_state: int) -> _Pages:
    with open(path, "rb") as file:
        return _find_pages(file)


def _open(file: BinaryIO) -> tifffile.TiffFile:
    file.seek(0)  # tifffile takes the current position as the beginning of the file
    return tifffile.TiffFile(file, _multifile=False)  # else an OME-TIFF could name other files to be read


def _find_pages(file: BinaryIO) -> _Pages:
    """Walks the chain of pages and lists those that are images."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order, big = "<" if head.startswith(b"II") else ">", b"+" in head[2:4]
    number, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    pointer = "Q" if big else "I"
    size = struct.calcsize(order + entry)
    if len(head) < 16:
        raise damaged("the end is missing")
    (offset,) = struct.unpack_from(order + pointer, head, 8 if big else 4)
    found, seen = [], set[int]()
    while offset:
        if offset in seen:
            raise damaged("its pages form a circle")
        file.seek(min(offset, end))
        start = file.read(struct.calcsize(number))
        (count,) = struct.unpack(order + number, start) if len(start) == struct.calcsize(number) else (0,)
        table = file.read(size * min(count, _TAGS) + struct.calcsize(pointer))
        if not 0 < count <= _TAGS or len(table) < size * count + struct.calcsize(pointer):
            raise damaged(f"page {len(seen)} lies beyond its end" if offset >= end else f"page {len(seen)}")
        tags = {
            code: struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0]
            for code, kind, _, value in struct.iter_unpack(order + entry, table[: size * count])
            if code in (_SUBFILE, _OLD_SUBFILE)
        }
        if not tags.get(_SUBFILE, 0) & 1 and (tags.get(_SUBFILE) or tags.get(_OLD_SUBFILE) != 2):
            found.append((offset, len(seen)))
        seen.add(offset)
        (offset,) = struct.unpack_from(order + pointer, table, size * count)
    if not found:
        raise damaged("no image in it")
    frames = _count_frames(file) if len(seen) == 1 else 1
    return _Pages(found, frames, _find_images(file, [place for _, place in found], frames))


def _find_images(file: BinaryIO, places: Sequence[int], frames: int) -> list[tuple[int, ...]]:
    """For each image of a file the numbers of its pages: several where an axis of the file is of channels.

    Args:
        file: the file.
        places: position of each page in the chain of pages.
        frames: number of images in a single page.
    """
    count = max(len(places), frames)
    single: list[tuple[int, ...]] = [(number,) for number in range(count)]
    if count == 1:
        return single
    number_of = {place: number for number, place in enumerate(places)}
    images: list[tuple[int, ...]] = []
    try:
        tiff = _open(file)
        if not any(getattr(tiff, f"is_{kind}") for kind in _WITH_AXES):
            return single
        if tiff.is_ome and _declared_planes(tiff.ome_metadata or "") > _MOST_PLANES * count:
            return single
        for series in tiff.series:
            # Samples are inside of a page; the rest of the axes before Y counts pages.
            before = series.axes.partition("Y")[0]
            axes = {a: n for a, n in zip(before, series.shape, strict=False) if a != "S"}
            numbers = np.array(
                range(count) if frames > 1 else [number_of[page.index] for page in series.pages if page]
            ).reshape(list(axes.values()))
            if "C" in axes:
                numbers = np.moveaxis(numbers, list(axes).index("C"), -1)
                images += [tuple(channels) for channels in numbers.reshape(-1, axes["C"]).tolist()]
            else:
                images += [(number,) for number in numbers.reshape(-1).tolist()]
    except Exception:  # a description that does not fit the pages tells nothing about them
        return single
    complete = sorted(number for image in images for number in image) == list(range(count))
    return sorted(images) if complete else single


def _declared_planes(description: str) -> int:
    """Number of planes of all images that an OME-XML promises, for each of which tifffile takes memory."""
    images = _OME_PIXELS.findall(description)
    sizes = (re.findall(r"""\bSize[ZCT]\s*=\s*["'](\d+)""", image) for image in images)
    return sum(math.prod(map(int, each)) for each in sizes)


def _count_frames(file: BinaryIO) -> int:
    """Number of images in a file of one page."""
    try:
        tiff = _open(file)
        page = tiff.pages.first
        declared = 1
        if page.is_imagej:
            declared = int((tiff.imagej_metadata or {}).get("images", 1))
        elif page.is_shaped:
            described: dict[str, Any] = next(iter(tiff.shaped_metadata or ()), {})
            declared = int(np.prod(described.get("shape", page.shape))) // max(1, page.size)
        room = (tiff.filehandle.size - page.dataoffsets[0]) // max(1, page.nbytes)
    except Exception as error:  # on damaged bytes tifffile raises nearly anything
        raise damaged(error) from error
    # Tools that extract a page from a stack keep the description of the whole stack.
    if declared <= 1 or room <= 1:
        return 1
    if int(page.compression) != 1 or page.bitspersample % 8 or not page.is_contiguous:
        raise ImageError(f"a stack of {declared} images in one page", "save each as a page of its own")
    if declared > room:
        raise damaged(f"{room} of {declared} images")
    return declared


def _frame(tiff: tifffile.TiffFile, page: tifffile.TiffPage, number: int) -> np.ndarray:
    tiff.filehandle.seek(page.dataoffsets[0] + number * page.nbytes)
    stored = np.frombuffer(tiff.filehandle.read(page.nbytes), page.dtype.newbyteorder(tiff.byteorder))
    return stored.reshape(page.shape).astype(page.dtype)


def require_strips(page: Any, size: int) -> None:
    """Checks that each strip or tile lies in the file, and is large enough for its part of the pixels.

    Args:
        page: page to check, a `tifffile.TiffPage`; tifffile would silently fill missing strips with black.
        size: size of the file in bytes.

    Raises:
        ImageError: a strip or tile is missing or too small.
    """
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = int(np.prod(page.chunked)) if page.chunked else 0
    if len(offsets) < expected or len(counts) < expected or not expected:
        raise damaged(f"{len(offsets)} of {expected} strips")
    if any(not o or not c or o + c > size for o, c in zip(offsets, counts, strict=False)):
        raise damaged("the end is missing")
    ratio = _RATIO.get(int(page.compression), math.inf)
    bits = page.imagewidth * page.imagelength * page.samplesperpixel * page.bitspersample
    require_room(bits // 8, sum(counts) * ratio)


def _read_fax(file: BinaryIO, page: tifffile.TiffPage) -> np.ndarray:
    file.seek(0)
    content = bytearray(file.read())
    # Pillow would read all earlier pages first: so the copy's header points to this page.
    big = b"+" in content[2:4]
    order = "<" if content.startswith(b"II") else ">"
    struct.pack_into(order + ("Q" if big else "I"), content, 8 if big else 4, page.offset)
    with TiffImagePlugin.TiffImageFile(io.BytesIO(content)) as image:
        orientation = image.getexif().get(_ORIENTATION)
        if orientation not in (None, 1):  # Pillow applies the orientation, which would then be applied twice
            raise ImageError("a fax that is turned", "save it upright")
        bits = np.asarray(image.convert("1")).astype(np.uint8)
        return 1 - bits if int(page.photometric) == 0 else bits  # the values as stored


def _white_is_zero(page: tifffile.TiffPage, pixels: np.ndarray) -> bool:
    # tifffile writes bool arrays with 0 as white and reads them back unchanged: 0 does not mean white there.
    by_tifffile = int(page.bitspersample) == 1 and str(page.software).startswith("tifffile")
    return int(page.photometric) == 0 and pixels.dtype.kind == "u" and not by_tifffile


def _as_image(pixels: np.ndarray, page: tifffile.TiffPage) -> tuple[np.ndarray, bool]:
    """Converts an array that tifffile decoded to [H, W, channels], and tells whether they are separate."""
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    if page.imagedepth > 1:
        raise ImageError("a TIFF of voxels", "save each slice as a page of its own")
    if samples > 1 and int(page.planarconfig or 1) == 2:
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
        return np.asarray(PILImage.fromarray(inks, "CMYK").convert("RGB")), False
    if photometric not in (0, 1, 2, 3, 6) or (photometric == 6 and int(page.compression) not in _JPEG):
        raise ImageError(f"a TIFF of {page.photometric.name} colours", "save it as RGB or grey")
    colors = 3 if photometric in (2, 6) else 1
    if pixels.shape[-1] < colors:
        raise ImageError(f"a TIFF of {samples} channels that claims to be RGB", "save it as RGB or grey")
    # A channel that is not marked as alpha is another one of the microscope or satellite.
    extra = [int(kind) for kind in page.extrasamples or ()]
    alpha = [colors + number for number, kind in enumerate(extra) if kind in _ALPHA]
    kept = [channel for channel in range(pixels.shape[-1]) if channel not in alpha]
    # A slice takes no copy.
    pixels = pixels[..., : len(kept)] if kept == list(range(len(kept))) else pixels[..., kept]
    return pixels, len(kept) != colors
