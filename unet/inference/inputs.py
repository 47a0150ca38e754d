"""Input images of models: encoded, or, if large, as arrays on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.images.channels import ChosenChannels
from unet.images.raster import ImageError
from unet.images.reader import NeedsRange, decode, read_image, to_sixteen_bits
from unet.inference.large_tiff import LARGE_PIXELS, open_page, page_sizes

_TIFF = (b"II", b"MM")
_CONVERT = "the model was trained on images of 8 or 16 bits: convert this one as they were converted"


@dataclass(frozen=True)
class InputImage:
    """An input image of a model.

    Attributes:
        height, width: size in pixels.
        encoded: canonical bytes of the image; None for a large image.
        stored: pixels, uint8 or uint16 [H, W, channels], possibly on disk; None if only `encoded` is given.
        channels: number of channels of the image.
    """

    height: int
    width: int
    encoded: bytes | None
    stored: NDArray[Any] | None = None
    channels: int = 1

    @property
    def pixels(self) -> NDArray[Any]:
        """Pixels of the image, uint8 or uint16 [H, W, channels]."""
        if self.stored is not None:
            return self.stored
        if self.encoded is None:
            raise ValueError("A picture has an encoding, or pixels. Received: neither")
        return decode(self.encoded, self.channels)


def read(
    source: str | Path | bytes,
    page: int = 0,
    value_range: tuple[float, float] | None = None,
    scratch: Path | None = None,
    large: bool | None = None,
    use_channels: ChosenChannels | None = None,
) -> InputImage:
    """Reads an image; a plain TIFF of more than `LARGE_PIXELS` pixels is not decoded into memory.

    Args:
        source: path or content of a file.
        page: number of the page of a multi-page TIFF.
        value_range: black and white of floating-point, signed and 32-bit values, see `reader.read_image`.
        scratch: folder for large temporary files.
        large: whether the page is large, if `large_pages` was called already.
        use_channels: the channels that the model sees, see `reader.read_image`.

    Raises:
        ImageError: the image cannot be used.
    """
    # Chosen channels may lie on several pages: such an image is decoded whole.
    if not (isinstance(source, bytes) or use_channels) and (
        large_pages(Path(source), 1)[0] if large is None else large
    ):
        stored = open_page(Path(source), page, scratch)
        if stored is not None:
            return InputImage(stored.shape[0], stored.shape[1], None, stored)
    try:
        image = read_image(source, page=page, value_range=value_range, use_channels=use_channels)
    except NeedsRange as error:
        raise ImageError(error.found, _CONVERT) from error
    return InputImage(image.height, image.width, image.data, channels=image.channels)


def scaled(pixels: NDArray[Any], value_range: tuple[float, float] | None) -> NDArray[np.uint16]:
    """The values of an array as 16 bits, as those of a file are read.

    Args:
        pixels: numbers of any type, [H, W, channels].
        value_range: black and white of the model's training; None if it knew 8 and 16 bits alone.

    Raises:
        ImageError: the values cannot be used.
    """
    try:
        return to_sixteen_bits(pixels, value_range)
    except NeedsRange as error:
        raise ImageError(error.found, _CONVERT) from error


def large_pages(path: Path, count: int) -> list[bool]:
    """For each of the `count` pages of a file, whether it has more than `LARGE_PIXELS` pixels.

    Only headers are read. False for files other than TIFFs, which are decoded whole, whatever their size.
    """
    try:
        with path.open("rb") as file:
            sizes = page_sizes(path) if file.read(2) in _TIFF else []
    except (ImageError, OSError):
        sizes = []  # reading the image will raise the error
    if len(sizes) != count:  # not a TIFF, or an ImageJ stack in a single page
        return [False] * count
    return [height * width > LARGE_PIXELS for height, width in sizes]
