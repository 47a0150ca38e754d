"""Room for large arrays: on disk, so that memory stays bounded, and gone with the process in any case."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unet.images.raster import ImageError

IN_MEMORY = 1 << 27  # bytes up to which an array is an ordinary one


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None) -> NDArray[Any]:
    """An array to be filled; above `IN_MEMORY` bytes it lies in a file without a name.

    Args:
        shape: of the array.
        dtype: of the array.
        folder: where the file is; None: the system's folder for temporary files.

    Raises:
        ImageError: the disk has no room for it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    place = str(folder or tempfile.gettempdir())
    try:
        # Without a name from the start: a killed process leaves nothing behind.
        with tempfile.TemporaryFile(dir=place) as file:
            # Blocks are taken now: a mapped file that cannot grow later would kill the process.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        found = f"needs {size / 1e9:.1f} GB in {place} for a while ({error.strerror})"
        raise ImageError(found, "make room there") from error
