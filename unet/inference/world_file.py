"""World files: where the pixels of a mask lie on a map, as the image's tags or its own world file say.

A world file has six lines: how x and y change with a column and with a row, and the center of the first
pixel. It names no coordinate system. Tags come before a world file, as in GDAL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile
from PIL import Image

_TIFF = (".tif", ".tiff")
_ENDINGS = {".tif": ".tfw", ".tiff": ".tfw", ".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw", ".bmp": ".bpw"}
_POINT = 2  # value of the key 1025 in a GeoTIFF whose coordinates are those of the centers of pixels


def world_file(path: Path, page: int = 0) -> bytes | None:
    """The content of a world file of an image; None if nothing says where it lies, or if it is shown turned.

    Args:
        path: the image, which was read before.
        page: number of the page of a multi-page TIFF, without thumbnails.
    """
    try:
        orientation, found = _in_tiff(path, page) if path.suffix.lower() in _TIFF else (_in_exif(path), None)
    except Exception:  # of another kind than its name says, or too large for Pillow: on no map
        return None
    if orientation not in (None, 1):
        return None
    for ending in (_ENDINGS.get(path.suffix.lower(), ".wld"), f"{path.suffix}w", ".wld"):
        for beside in map(path.with_suffix, (ending, ending.upper())):
            if not found and beside.is_file():
                found = beside.read_bytes()
    return found


def _in_exif(path: Path) -> int | None:
    """The orientation of an image by its EXIF block; that of XMP turns no image in `unet.images.formats`."""
    with Image.open(path) as image:
        if image.format == "PNG" and "exif" not in image.info:
            image.load()  # the block may lie after the pixels
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return exif.get(0x0112)


def _in_tiff(path: Path, page: int) -> tuple[int | None, bytes | None]:
    """The orientation of a page, and the world file that its tags give."""
    with tifffile.TiffFile(path) as file:
        pages: list[Any] = [p for p in file.pages if not p.is_reduced]
        chosen = pages[page if page < len(pages) else 0]  # ImageJ keeps a whole stack in one page
        tags = chosen.aspage().tags if hasattr(chosen, "aspage") else chosen.tags
        values = [tags.valueof(code) for code in (33550, 33922, 34264, 34735)]
        return tags.valueof("Orientation"), _of_tags(*values)


def _of_tags(
    scale: Sequence[float] | None,
    tie: Sequence[float] | None,
    matrix: Sequence[float] | None,
    keys: Sequence[int] | None,
) -> bytes | None:
    """The world file of the tags ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory."""
    if matrix and len(matrix) == 16:
        a, b, _, x, d, e, _, y = matrix[:8]
    elif scale and tie and len(scale) >= 2 and len(tie) == 6:  # with more of them no six numbers suffice
        a, b, d, e = scale[0], 0.0, 0.0, -scale[1]
        x, y = tie[3] - tie[0] * a, tie[4] - tie[1] * e
    else:
        return None
    at_center = any(keys[i : i + 4 : 3] == (1025, _POINT) for i in range(4, len(keys), 4)) if keys else False
    half = 0.0 if at_center else 0.5
    lines = (a, d, b, e, x + half * (a + b), y + half * (d + e))
    return "".join(f"{float(value)!r}\n" for value in lines).encode()
