"""Images as models take them: encoded, or, if large, as rows on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unet.images.raster import ImageError
from unet.images.reader import NeedsRange, decode, read_image
from unet.inference.large_tiff import LARGE_PIXELS, open_page, page_sizes

_TIFF = (b"II", b"MM")


@dataclass(frozen=True)
class InputImage:
    """An image as models take it.

    Attributes:
        height, width: in pixels.
        encoded: canonical bytes; or None, of a large image.
        stored: uint8 or uint16 [H, W, 1 or 3], of a large image maybe on disk; or None.
    """

    height: int
    width: int
    encoded: bytes | None
    stored: NDArray[Any] | None = None

    @property
    def pixels(self) -> NDArray[Any]:
        """uint8 or uint16 [H, W, 1 or 3]."""
        if self.stored is not None:
            return self.stored
        if self.encoded is None:
            raise ValueError("A picture has an encoding, or pixels. Received: neither")
        return decode(self.encoded)


def read(
    source: str | Path | bytes,
    page: int = 0,
    value_range: tuple[float, float] | None = None,
    scratch: Path | None = None,
    large: bool | None = None,
) -> InputImage:
    """Reads an image; a plain TIFF of more than `LARGE_PIXELS` pixels is not decoded into memory.

    Args:
        source: path or content of a file.
        page: of a multi-page TIFF.
        value_range: see `images.read_image`.
        scratch: folder for large temporary files.
        large: what `large_pages` said of it, if that is known.

    Raises:
        ImageError: the image cannot be used.
    """
    if not isinstance(source, bytes) and (large_pages(Path(source), 1)[0] if large is None else large):
        stored = open_page(Path(source), page, scratch)
        if stored is not None:
            return InputImage(stored.shape[0], stored.shape[1], None, stored)
    try:
        image = read_image(source, page=page, value_range=value_range)
    except NeedsRange as error:
        advice = "the model was trained on images of 8 or 16 bits: convert this one as they were converted"
        raise ImageError(error.found, advice) from error
    return InputImage(image.height, image.width, image.data)


def large_pages(path: Path, count: int) -> list[bool]:
    """Which of the `count` pages of a file have more than `LARGE_PIXELS` pixels; looks at headers alone.

    Only pages of TIFFs do: other files are decoded whole, whatever their size.
    """
    try:
        with path.open("rb") as file:
            sizes = page_sizes(path) if file.read(2) in _TIFF else []
    except (ImageError, OSError):
        sizes = []  # reading it says what is wrong
    if len(sizes) != count:  # no TIFF, or a stack that ImageJ keeps in one page
        return [False] * count
    return [height * width > LARGE_PIXELS for height, width in sizes]
