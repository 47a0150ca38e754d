"""Reads and writes large TIFF files in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unet.images import tiff
from unet.images.raster import ImageError, damaged
from unet.inference.scratch import scratch_array

LARGE_PIXELS = 1 << 26  # images with more pixels are read in strips
TILE = 512  # size in pixels of the tiles of written files: viewers of large images read tiles
_BIG_TIFF = 3_500_000_000  # bytes of pixels above which offsets of 32 bits may not suffice
_GRAY, _RGB, _YCBCR = 1, 2, 6  # photometric interpretations whose black is 0
_JPEG = 7  # compression; its decoder makes RGB of YCbCr


def page_sizes(path: Path) -> list[tuple[int, int]]:
    """Height and width of the pages of a TIFF, without thumbnails; reads headers alone.

    Raises:
        ImageError: the file is not a TIFF, or is damaged.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return [(int(p.imagelength), int(p.imagewidth)) for p in file.pages if not p.is_reduced]
    except Exception as error:  # on damaged bytes tifffile raises nearly anything
        raise damaged(error) from error


def open_page(path: Path, page: int, scratch: Path | None = None) -> NDArray[Any] | None:
    """Opens a plain page as an array that is read from disk when it is used.

    Uncompressed pages are memory-mapped. Others are decoded into a temporary file, a strip or tile at a time.

    Args:
        path: path of a TIFF.
        page: number of the page from 0, without thumbnails.
        scratch: folder for temporary files.

    Returns:
        The pixels, [H, W, 1 or 3] uint8 or uint16; None unless the page is upright grey or RGB of 8 or 16
        bits.

    Raises:
        ImageError: the file is damaged, or the disk has no room for the temporary file.
    """
    try:
        with tifffile.TiffFile(path) as file:
            wanted: Any = [p for p in file.pages if not p.is_reduced][page]
            wanted = wanted.aspage() if hasattr(wanted, "aspage") else wanted
            if not _is_plain(wanted):
                return None
            tiff.require_strips(wanted, file.filehandle.size)
            samples = int(wanted.samplesperpixel)
            shape = (int(wanted.imagelength), int(wanted.imagewidth), samples)
            if wanted.is_memmappable:
                place = int(wanted.dataoffsets[0])
                stored: NDArray[Any] = np.memmap(
                    path, wanted.dtype.newbyteorder(file.byteorder), "r", place, shape
                )
            else:
                stored = scratch_array(shape, wanted.dtype, scratch)
                wanted.asarray(out=stored.reshape(wanted.shape))
    except ImageError:
        raise
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        raise damaged(error) from error
    return stored[..., : 1 if samples < 3 else 3]


def write_tiff(path: Path, plane: NDArray[Any], values: NDArray[Any] | None = None) -> None:
    """Writes a tiled TIFF with Deflate, a tile at a time; BigTIFF where the size needs it.

    Args:
        path: path of the file.
        plane: class indices or other integers, [H, W].
        values: value to write for each integer, [classes] or [classes, 3]; None: the integers themselves.
    """
    dtype = plane.dtype if values is None else values.dtype
    shape = plane.shape if values is None else (*plane.shape, *values.shape[1:])

    def tiles() -> Iterator[NDArray[Any]]:
        for top in range(0, plane.shape[0], TILE):
            for left in range(0, plane.shape[1], TILE):
                tile = np.asarray(plane[top : top + TILE, left : left + TILE])
                yield tile if values is None else values[tile]

    tifffile.imwrite(
        path,
        tiles(),
        shape=shape,
        dtype=dtype,
        tile=(TILE, TILE),
        photometric="rgb" if len(shape) == 3 else "minisblack",
        compression="zlib",
        compressionargs={"level": 1},  # higher ones take several times as long for a few per cent
        bigtiff=math.prod(shape) * dtype.itemsize > _BIG_TIFF,
        metadata=None,
    )


def _is_plain(page: Any) -> bool:
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    # A further channel that is not marked as alpha is one of the microscope or satellite: not plain.
    alpha = [int(kind) for kind in page.extrasamples or ()] in ([1], [2])
    gray = photometric == _GRAY and (samples == 1 or (samples == 2 and alpha))
    decoded = photometric == _YCBCR and int(page.compression) == _JPEG
    return (
        page.dtype in (np.uint8, np.uint16)
        and int(page.bitspersample) == page.dtype.itemsize * 8
        and (gray or ((photometric == _RGB or decoded) and samples == (4 if alpha else 3)))
        and (samples == 1 or int(page.planarconfig) == 1)
        and page.imagedepth == 1
        and page.tags.valueof("Orientation") in (None, 1)
        and int(page.compression) not in tiff.FAX
    )
