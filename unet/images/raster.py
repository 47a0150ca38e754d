"""The decoded image of a file of any format, and the errors of files that cannot be used."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unet.errors import BadInput
from unet.images.memory import wait_for_turn


class ImageError(BadInput):
    """An image file that cannot be used. Callers add its path to the message."""

    def __init__(self, found: str, advice: str):
        """Args: found: description of the problem; advice: how to solve it. Neither ends in a full stop."""
        super().__init__(found, advice)
        self.found, self.advice = found, advice

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


@dataclass(frozen=True)
class Raster:
    """The stored values of one page of a file, turned upright, without alpha.

    Attributes:
        pixels: the values, [H, W, channels]; values of fewer than 8 bits are uint8 from 0 to 2**depth - 1.
        depth: bits per value.
        palette: red, green and blue of each index, uint8 [entries, 3]; None if the values are no indices.
        format: PNG, JPEG, BMP or TIFF.
        canonical: the bytes of the file if TensorFlow's decoders read the same pixels from them, else None.
        white_is_zero: whether the file shows 0 as white, and its highest value as black.
        separate: whether the channels are those of an instrument, such as of a microscope or a satellite;
            otherwise they are grey, or red, green and blue.
        turned: whether the file says by an orientation that it is stored turned or mirrored.
    """

    pixels: np.ndarray
    depth: int
    palette: np.ndarray | None
    format: str
    canonical: bytes | None
    white_is_zero: bool = False
    separate: bool = False
    turned: bool = False


def damaged(detail: object) -> ImageError:
    """The error for a file that is truncated or inconsistent."""
    return ImageError(f"a damaged or truncated file ({detail})", "copy or export it again")


@contextmanager
def opened(source: str | Path | bytes) -> Iterator[BinaryIO]:
    """Opens a file, or its content, for reading; raises `ImageError` if the file cannot be read."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    path = Path(source)
    try:
        if path.is_symlink() and not path.exists():
            raise ImageError("a link to a file that does not exist", "restore that file, or remove the link")
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe may wait for ever
            raise ImageError("a pipe or a device, no file", "put a file in its place, or remove it")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise ImageError(found, "check the path and its permissions") from error


def require_size(width: int, height: int, max_pixels: int, channels: int = 1) -> None:
    """Refuses an image that is too large; must be called before memory is allocated for its pixels.

    Args:
        width: number of columns.
        height: number of rows.
        max_pixels: largest number of pixels, of up to three channels each.
        channels: number of channels; an image of six counts as two.
    """
    pixels = width * height * max(1, -(-channels // 3))
    if pixels > max_pixels:
        of = f" of {channels} channels" if channels > 3 else ""
        found = f"{width} x {height} pixels{of}, more than max_pixels = {max_pixels}"
        raise ImageError(found, "cut it into parts, or raise max_pixels with --set")
    wait_for_turn(pixels)


def require_room(pixels_or_bytes: int, most: float) -> None:
    """Refuses a header that promises more pixels than the file can hold."""
    if pixels_or_bytes > most:
        raise damaged("the header promises more pixels than the file can hold")


def is_turned(orientation: object) -> bool:
    """Whether an orientation of EXIF or TIFF 6.0 says that an image is stored turned or mirrored."""
    return orientation in range(2, 9)


def upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Turns pixels upright by an orientation 1 to 8 of EXIF or TIFF 6.0; any other value means upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
